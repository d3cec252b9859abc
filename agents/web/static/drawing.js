// Paints candles, studies, opinions and fills on a canvas, in the colours of the page.
"use strict";

const RIGHT = 58, DATES = 20, GAP = 10;
// Room for prices and dates, and between panes, in pixels.

const stamp = (time) => new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ");
const short = (value) => (Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(4)).toString());

// The place of the first candle whose last bar closed at `time` or later.
function placeIn(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function makePainter(canvas) {
  const pen = canvas.getContext("2d");
  let data, from, to, cursor, palette;
  const colour = (name) => palette[name] || (palette[name] = palette.style.getPropertyValue(name).trim());
  const count = () => data.time.length;
  const placeOf = (time) => placeIn(data.time, time);
  const timeOf = (place) => data.time[Math.max(0, Math.min(count() - 1, Math.round(place)))];

  function paint(state) {
    ({ data, from, to, cursor } = state);
    palette = { style: getComputedStyle(document.documentElement) };
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    const on = state.layers, names = Object.keys(data.agents), strip = on.has("agents") && names.length ? names.length * 13 + 4 : 0;
    const rooms = [["rsi", 0.13], ["macd", 0.15]].filter(([name]) => on.has(name));
    const free = height - DATES - (strip ? strip + GAP : 0);
    const parts = rooms.map(([name, share]) => [name, free * share]);
    const main = free - parts.reduce((sum, [, h]) => sum + h + GAP, 0);
    const low = Math.max(0, Math.floor(from) - 1), high = Math.min(count(), Math.ceil(to) + 2);
    const box = { width: width - RIGHT, low, high, x: (k) => ((k - from) / (to - from)) * (width - RIGHT) };
    prices(box, on, 0, main);
    let top = main + GAP;
    for (const [name, h] of parts) {
      if (name === "rsi") lines(box, top, h, [["rsi", "--s3"]], [0, 100], [30, 70], "RSI 14");
      else lines(box, top, h, [["macd", "--s1"], ["macd_signal", "--s2"]], null, [0], "MACD 12 26 9");
      top += h + GAP;
    }
    if (strip) opinions(box, top, names);
    dates(box, height);
    if (cursor !== null) {
      pen.fillStyle = colour("--soft");
      pen.fillRect(box.x(cursor), 0, 1, height - DATES);
    }
  }

  function range(box, names, extra) {
    let low = Infinity, high = -Infinity;
    for (const name of names)
      for (let k = box.low; k < box.high; k++) {
        const value = data[name][k];
        if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
      }
    if (extra) { low = Math.min(low, ...extra); high = Math.max(high, ...extra); }
    const room = (high - low) * 0.05 || Math.abs(high) * 0.01 || 1;
    return [low - room, high + room];
  }

  function frame(box, top, height, [low, high], levels, title) {
    const y = (value) => top + (height * (high - value)) / (high - low);
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--soft");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    for (const level of levels) {
      pen.beginPath();
      pen.moveTo(0, y(level));
      pen.lineTo(box.width, y(level));
      pen.stroke();
      pen.fillText(short(level), box.width + 6, y(level));
    }
    if (title) pen.fillText(title, 2, top + 7);
    return y;
  }

  function path(box, y, values, name, dash) {
    pen.strokeStyle = colour(name);
    pen.lineWidth = 1.3;
    pen.setLineDash(dash || []);
    pen.beginPath();
    let down = false;
    for (let k = box.low; k < box.high; k++) {
      const value = values[k];
      if (value === null) down = false;
      else if (down) pen.lineTo(box.x(k), y(value));
      else { pen.moveTo(box.x(k), y(value)); down = true; }
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  function lines(box, top, height, series, bounds, levels, title) {
    clipped(box, top, height, () => {
      const y = frame(box, top, height, bounds || range(box, series.map(([name]) => name), [0]), levels, title);
      for (const [name, tone] of series) path(box, y, data[name], tone);
    });
  }

  function clipped(box, top, height, work) {
    pen.save();
    pen.beginPath();
    pen.rect(0, top, box.width + RIGHT, height);
    pen.clip();
    work();
    pen.restore();
  }

  function prices(box, on, top, height) {
    const bounds = range(box, ["high", "low"]), thick = Math.max(1, (box.width / (to - from)) * 0.68);
    const tone = { up: colour("--up"), down: colour("--down") };
    clipped(box, top, height, () => {
      const y = frame(box, top, height, bounds, ticks(bounds), "");
      if (on.has("volume")) volumes(box, top + height, height * 0.18, thick, tone);
      if (on.has("cloud")) cloud(box, y);
      for (let k = box.low; k < box.high; k++) {
        const rises = data.close[k] >= data.open[k], x = box.x(k);
        pen.fillStyle = rises ? tone.up : tone.down;
        pen.fillRect(x - 0.5, y(data.high[k]), 1, Math.max(1, y(data.low[k]) - y(data.high[k])));
        const head = y(Math.max(data.open[k], data.close[k])), foot = y(Math.min(data.open[k], data.close[k]));
        if (thick > 2) pen.fillRect(x - thick / 2, head, thick, Math.max(1, foot - head));
      }
      if (on.has("bands")) {
        for (const name of ["band_upper", "band_lower"]) path(box, y, data[name], "--s1");
        path(box, y, data.band_middle, "--s1", [3, 3]);
      }
      if (on.has("fills")) fills(box, y, tone);
    });
  }

  function volumes(box, foot, height, thick, tone) {
    let most = 0;
    for (let k = box.low; k < box.high; k++) most = Math.max(most, data.volume[k] || 0);
    pen.globalAlpha = 0.28;
    for (let k = box.low; most && k < box.high; k++) {
      const tall = (height * (data.volume[k] || 0)) / most;
      pen.fillStyle = data.close[k] >= data.open[k] ? tone.up : tone.down;
      pen.fillRect(box.x(k) - thick / 2, foot - tall, thick, tall);
    }
    pen.globalAlpha = 1;
  }

  function cloud(box, y) {
    for (let k = box.low; k + 1 < box.high; k++) {
      const corners = [data.span_a[k], data.span_a[k + 1], data.span_b[k + 1], data.span_b[k]];
      if (corners.includes(null)) continue;
      pen.fillStyle = colour(corners[0] >= corners[3] ? "--up" : "--down");
      pen.globalAlpha = 0.14;
      pen.beginPath();
      corners.forEach((value, c) => pen.lineTo(box.x(k + (c === 1 || c === 2 ? 1 : 0)), y(value)));
      pen.fill();
    }
    pen.globalAlpha = 1;
    path(box, y, data.conversion, "--s2");
    path(box, y, data.base, "--s4");
  }

  function fills(box, y, tone) {
    for (const [time, side] of data.fills) {
      const k = placeOf(time);
      if (k < box.low || k >= box.high) continue;
      const x = box.x(k), tip = side > 0 ? y(data.low[k]) + 3 : y(data.high[k]) - 3;
      pen.fillStyle = side > 0 ? tone.up : tone.down;
      pen.beginPath();
      pen.moveTo(x, tip);
      pen.lineTo(x - 4.5, tip + 8 * side);
      pen.lineTo(x + 4.5, tip + 8 * side);
      pen.fill();
    }
  }

  function opinions(box, top, names) {
    const wide = Math.max(1, box.width / (to - from));
    names.forEach((name, row) => {
      const y = top + row * 13, values = data.agents[name];
      for (let k = box.low; k < box.high; k++) {
        const value = values[k];
        if (value === null || box.x(k) > box.width) continue;
        pen.fillStyle = colour(value >= 0 ? "--up" : "--down");
        pen.globalAlpha = 0.12 + 0.88 * Math.min(1, Math.abs(value));
        pen.fillRect(box.x(k) - wide / 2, y, wide + 0.5, 11);
      }
      pen.globalAlpha = 0.8;
      pen.fillStyle = colour("--card");
      pen.fillRect(0, y, pen.measureText(name).width + 6, 11);
      pen.globalAlpha = 1;
      pen.fillStyle = colour("--ink");
      pen.textBaseline = "middle";
      pen.fillText(name, 3, y + 6);
    });
  }

  function dates(box, height) {
    const every = Math.max(1, Math.ceil((to - from) / Math.max(2, Math.floor(box.width / 110))));
    const fine = data.width < 86400 && timeOf(to) - timeOf(from) < 6 * 86400;
    pen.fillStyle = colour("--soft");
    pen.textBaseline = "bottom";
    for (let k = Math.ceil(box.low / every) * every; k < box.high; k += every) {
      const words = stamp(data.time[k]), x = box.x(k);
      if (x > 0 && x < box.width - 40) pen.fillText(fine ? words.slice(5, 16) : words.slice(0, 10), x, height);
    }
  }

  function ticks([low, high]) {
    const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
    const size = [1, 2, 2.5, 5, 10].map((f) => f * unit).find((s) => s >= rough), found = [];
    for (let level = Math.ceil(low / size) * size; level <= high; level += size) found.push(level);
    return found;
  }

  return paint;
}
