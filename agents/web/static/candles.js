// Moving about in candles that the server thins: within what is loaded at once; more is fetched before an edge is
// reached. Times are seconds since 1970.
"use strict";

const canvas = document.getElementById("candles");
if (canvas) startChart(canvas);

function startChart(canvas) {
  const paint = makePainter(canvas);
  const reading = document.getElementById("reading");
  const given = (name) => Number(canvas.dataset[name]);
  const bounds = { first: given("first"), last: given("last"), bar: given("bar") };
  let data = null, from = 0, to = 1, cursor = null, asked = 0, timer = 0, whyTimer = 0;

  const count = () => data.time.length;
  const layers = () => new Set([...document.querySelectorAll("[name=layer]:checked")].map((box) => box.value));
  const placeOf = (time) => placeIn(data.time, time);
  const step = () => (count() > 1 ? (data.time[count() - 1] - data.time[0]) / (count() - 1) : bounds.bar);

  function timeAt(place) {
    const k = Math.floor(place);
    if (k < 0) return data.time[0] + place * step();
    if (k >= count() - 1) return data.time[count() - 1] + (place - count() + 1) * step();
    return data.time[k] + (place - k) * (data.time[k + 1] - data.time[k]);
  }

  // ---------------------------------------------------------------- what is fetched

  async function load(start, end, jumps) {
    const number = ++asked, span = end - start;
    const wanted = { symbol: canvas.dataset.symbol, start: Math.max(0, start - span), end: end + span };
    const answer = await fetch("/chart/data?" + new URLSearchParams(wanted));
    if (answer.status === 401) return location.reload();
    if (!answer.ok || number !== asked) return;
    const fresh = await answer.json();
    if (number !== asked || !fresh.time.length) return;
    const kept = data && !jumps ? [timeAt(from), timeAt(to)] : [start, end];
    const marked = cursor === null || !data || jumps ? null : data.time[cursor];
    data = fresh;
    from = fractionOf(kept[0]);
    to = Math.max(from + 5, fractionOf(kept[1]));
    cursor = marked === null ? null : Math.min(count() - 1, placeOf(marked));
    draw();
  }

  function fractionOf(time) {
    if (time < data.time[0]) return (time - data.time[0]) / step();
    if (time > data.time[count() - 1]) return count() - 1 + (time - data.time[count() - 1]) / step();
    const k = placeOf(time);
    return k === 0 ? 0 : k - (data.time[k] - time) / (data.time[k] - data.time[k - 1]);
  }

  function settle() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!data) return;
      const shown = to - from, start = timeAt(from), end = timeAt(to);
      const early = from < 0.3 * shown && data.time[0] > bounds.first + data.width;
      const late = to > count() - 0.3 * shown && data.time[count() - 1] < bounds.last - data.width;
      const coarse = shown < 200 && data.width > data.bar;
      if (early || late || coarse) load(start, end).catch(() => {});
    }, 120);
  }

  function move(shift, factor, around) {
    const least = 15, most = count() * 1.6, shown = Math.min(most, Math.max(least, (to - from) * factor));
    const share = (around - from) / (to - from);
    from = around - share * shown + shift;
    to = from + shown;
    const outer = placeOf(bounds.first) - shown * 0.5, end = count() - 1 + shown * 0.5;
    if (from < outer) { to += outer - from; from = outer; }
    if (to > end && data.time[count() - 1] >= bounds.last - data.width) { from -= to - end; to = end; }
    schedule();
    settle();
  }

  let waiting = false;
  function schedule() {
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  }

  function draw() {
    if (!data) return;
    paint({ data, from, to, cursor, layers: layers() });
    read();
  }

  function read() {
    if (cursor === null) return;
    const k = cursor, wide = data.width > data.bar ? ` · candle of ${data.width / data.bar} bars` : "";
    reading.textContent = `${stamp(data.time[k])} UTC · open ${short(data.open[k])} high ${short(data.high[k])} low ${short(data.low[k])} close ${short(data.close[k])}` +
      ` · volume ${Math.round(data.volume[k] || 0).toLocaleString("en")}${data.rsi[k] === null ? "" : " · RSI " + data.rsi[k].toFixed(0)}${wide}`;
  }

  // ---------------------------------------------------------------- why, and hands

  function point(place, ask) {
    cursor = Math.max(0, Math.min(count() - 1, Math.round(place)));
    if (cursor < from || cursor > to) move(cursor < from ? cursor - from - 1 : cursor - to + 1, 1, cursor);
    schedule();
    if (!ask) return;
    clearTimeout(whyTimer);
    whyTimer = setTimeout(async () => {
      const query = new URLSearchParams({ symbol: canvas.dataset.symbol, at: data.time[cursor] });
      const answer = await fetch("/chart/why?" + query).catch(() => null);
      if (answer && answer.ok) document.getElementById("why").innerHTML = await answer.text();
    }, 90);
  }

  const placeAt = (event) => from + ((to - from) * (event.clientX - canvas.getBoundingClientRect().left)) / (canvas.clientWidth - RIGHT);
  const touches = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => { touches.set(event.pointerId, event.clientX); dragged = 0; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", (event) => { touches.delete(event.pointerId); if (data && dragged < 4) point(placeAt(event), true); });
  canvas.addEventListener("pointercancel", (event) => touches.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    if (!touches.has(event.pointerId)) return point(placeAt(event), false);
    const last = touches.get(event.pointerId), scale = (to - from) / (canvas.clientWidth - RIGHT);
    const other = [...touches].find(([id]) => id !== event.pointerId);
    dragged += Math.abs(event.clientX - last);
    touches.set(event.pointerId, event.clientX);
    if (!other) return move((last - event.clientX) * scale, 1, from);
    const before = Math.max(20, Math.abs(last - other[1])), after = Math.max(20, Math.abs(event.clientX - other[1]));
    move(0, before / after, (from + to) / 2);
  });
  canvas.addEventListener("wheel", (event) => {
    if (!data) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX * (to - from)) / canvas.clientWidth, 1, from);
    else move(0, event.deltaY > 0 ? 1.15 : 1 / 1.15, placeAt(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!data) return;
    const here = cursor === null ? Math.min(count() - 1, to) : cursor, far = event.shiftKey ? 20 : 1;
    const keys = {
      ArrowLeft: () => point(here - far, true), ArrowRight: () => point(here + far, true),
      "+": () => move(0, 1 / 1.4, here), "-": () => move(0, 1.4, here), "=": () => move(0, 1 / 1.4, here),
      Home: () => jump(bounds.first), End: () => jump(bounds.last),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  function jump(time) {
    const half = (timeAt(to) - timeAt(from)) / 2;
    const middle = Math.min(bounds.last - half, Math.max(bounds.first + half, time));
    load(middle - half, middle + half, true).catch(() => {});
  }
  document.getElementById("layers").addEventListener("change", schedule);
  document.getElementById("symbol").addEventListener("change", (event) => event.target.form.requestSubmit());
  document.addEventListener("scheme", schedule);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", schedule);
  new ResizeObserver(schedule).observe(canvas);
  load(given("start"), given("end")).catch(() => { reading.textContent = "The candles could not be read; reload the page."; });
}
