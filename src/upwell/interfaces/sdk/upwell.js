/* <script src=".../upwell.js" data-key="up-…" data-user="anna"></script>
   data-item: clicks and visible seconds; data-thumbs="up|down"; data-prediction on them or around */
((w, d, s) => {
  const url = new URL("/v1/events", s.src), o = s.dataset, L = localStorage;
  const on = d.addEventListener.bind(d), A = "[data-item]";
  const seen = new Map();
  let queue = [], since = Date.now(), busy;
  try { queue = JSON.parse(L.upwell || "[]"); } catch (e) {}
  const keep = () => { try { L.upwell = JSON.stringify(queue.slice(-1000)); } catch (e) {} };
  const send = () => {
    if (busy || !queue.length) return;
    const batch = queue.slice(0, 50);
    busy = 1;
    fetch(url, {
      method: "POST", keepalive: true, body: JSON.stringify({ batch }),
      headers: { "Content-Type": "application/json", Authorization: "Bearer " + o.key },
    }).then((r) => {
      if (r.status < 429 && ![401, 403].includes(r.status)) {
        queue = queue.slice(batch.length); keep();
      }
    }).catch(() => 0).finally(() => { busy = 0; });
  };
  const event = (kind, more) => {
    queue.push({
      id: `${Date.now()}-${Math.random()}`, kind, user: o.user, at: new Date(), ...more,
    });
    keep();
  };
  const of = (e) => {
    const p = e.closest("[data-prediction]"), i = e.closest(A);
    return { ...(p && { prediction: p.dataset.prediction }), ...(i && { item: i.dataset.item }) };
  };
  const tick = () => {
    const now = Date.now(), gone = (now - since) / 1000;
    since = now;
    if (!d.hidden) seen.forEach((v, e) => v.on && (v.s += gone));
  };
  const watch = new IntersectionObserver((all) => {
    tick();
    all.forEach((x) => { seen.get(x.target).on = x.isIntersecting; });
  }, { threshold: 0.5 });
  const look = () => d.querySelectorAll(A).forEach((e) => {
    if (!seen.has(e)) { seen.set(e, { s: 0 }); watch.observe(e); }
  });
  on("click", (c) => {
    const t = c.target.closest("[data-thumbs]"), i = c.target.closest(A);
    if (t) event("thumbs", { value: t.dataset.thumbs === "up" ? 1 : -1, ...of(t) });
    else if (i) event("click", of(i));
  });
  on("visibilitychange", () => {
    tick();
    if (!d.hidden) return;
    seen.forEach((v, e) => { if (v.s >= 1) event("dwell", { value: v.s, ...of(e) }); v.s = 0; });
    send();
  });
  setInterval(() => { tick(); look(); send(); }, 1000);
  w.upwell = { event };
})(window, document, document.currentScript);
