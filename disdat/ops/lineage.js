"use strict";
(() => {
  const WIDTH = 208, HEIGHT = 48, ACROSS = 104, DOWN = 20, THREAD = 14, SWEEPS = 12;
  const LETTERS = 24, LETTERS_BELOW = 28, LABELS = 150, LABELS_AT_ONE = 4, CLOSEST = 4, READABLE = 0.5, LISTED = 8;
  const SVG = "http://www.w3.org/2000/svg";
  const by = (id) => document.getElementById(id);
  const graph = JSON.parse(by("graph").textContent);
  const canvas = by("canvas"), view = by("view"), details = by("details");

  // The graph: bundles, and one edge for all that one read of another

  const nodes = new Map(graph.nodes.map((node) => [node.uuid, { ...node, inputs: [], readers: [] }]));
  const edges = new Map();
  for (const { from, to, argument } of graph.edges) {
    const key = from + " " + to;
    if (!edges.has(key)) {
      const edge = { from: nodes.get(from), to: nodes.get(to), arguments: [] };
      edges.set(key, edge);
      edge.from.readers.push(edge);
      edge.to.inputs.push(edge);
    }
    edges.get(key).arguments.push(argument);
  }

  // Layers: inputs left of what was made of them, each as near to that as can be

  function inOrder() {
    const left = new Map([...nodes.values()].map((node) => [node, node.inputs.length]));
    const ready = [...nodes.values()].filter((node) => !node.inputs.length);
    for (let next = 0; next < ready.length; next++) {
      for (const { to } of ready[next].readers) {
        left.set(to, left.get(to) - 1);
        if (!left.get(to)) ready.push(to);
      }
    }
    return ready;
  }

  function layered() {
    const order = inOrder();
    for (const node of nodes.values()) node.layer = 0;
    for (const node of order) for (const { to } of node.readers) to.layer = Math.max(to.layer, node.layer + 1);
    for (const node of order.reverse()) {
      const nearest = Math.min(...node.readers.map(({ to }) => to.layer)) - 1;
      if (node.readers.length) node.layer = Math.max(node.layer, nearest);
    }
    const layers = [];
    const put = (item) => (layers[item.layer] ??= []).push(item);
    for (const node of nodes.values()) put(Object.assign(node, { before: [], after: [], size: HEIGHT + DOWN }));
    for (const edge of edges.values()) {
      // An edge past other layers is a thread through them, and has a place in each.
      edge.way = [edge.from];
      for (let layer = edge.from.layer + 1; layer < edge.to.layer; layer++) {
        const thread = { layer, before: [], after: [], size: THREAD };
        put(thread);
        edge.way.push(thread);
      }
      edge.way.push(edge.to);
      for (let step = 1; step < edge.way.length; step++) {
        edge.way[step - 1].after.push(edge.way[step]);
        edge.way[step].before.push(edge.way[step - 1]);
      }
    }
    return Array.from(layers, (layer) => layer ?? []);
  }

  // Places: what is connected on one height, as few crossings as some sweeps find

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function ordered(layers) {
    const number = (layer) => layer.forEach((item, place) => { item.place = place; });
    layers.forEach(number);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      const side = sweep % 2 ? "before" : "after";
      for (const layer of sweep % 2 ? layers : [...layers].reverse()) {
        for (const item of layer) item.wish = item[side].length ? mean(item[side].map((each) => each.place)) : item.place;
        layer.sort((one, other) => one.wish - other.wish);
        number(layer);
      }
    }
  }

  function settled(layers) {
    for (const layer of layers) {
      let y = 0;
      for (const item of layer) { item.y = y + item.size / 2; y += item.size; }
      for (const item of layer) item.y -= y / 2;
    }
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      const side = sweep % 2 ? "after" : "before";
      for (const layer of sweep % 2 ? [...layers].reverse() : layers) spread(layer, side);
    }
    for (const layer of layers) for (const item of layer) item.x = item.layer * (WIDTH + ACROSS);
  }

  function spread(layer, side) {
    if (!layer.length) return;
    const wishes = layer.map((item) => (item[side].length ? mean(item[side].map((each) => each.y)) : item.y));
    let least = -Infinity;
    layer.forEach((item, place) => {
      item.y = Math.max(wishes[place], least + item.size / 2);
      least = item.y + item.size / 2;
    });
    const shift = mean(layer.map((item, place) => wishes[place] - item.y));
    for (const item of layer) item.y += shift;
  }

  // Drawing

  function draw(parent, kind, attributes, text) {
    const element = parent.appendChild(document.createElementNS(SVG, kind));
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const cut = (text, letters = LETTERS) => {
    const whole = [...text];
    return whole.length > letters ? whole.slice(0, letters - 1).join("") + "…" : text;
  };
  const shown = (node) => (node.name || "(unnamed)") + (node.here ? "" : " (not here)");
  const maker = (node) => (node.here ? node.code.method || node.name : "");
  const given = (node) => (node.here ? Object.entries(node.params).filter(([, value]) => value) : []);
  const params = (node) => given(node).map(([name, value]) => `${name}=${value}`).join(", ");
  const moment = (text) => new Date(text).toLocaleString();
  const briefly = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });

  function port(edge, others, node) {
    const among = [...others].sort((one, other) => farEnd(one, node).y - farEnd(other, node).y);
    const gap = Math.min(12, (HEIGHT - 12) / among.length);
    return node.y + (among.indexOf(edge) - (among.length - 1) / 2) * gap;
  }
  const farEnd = (edge, node) => (edge.from === node ? edge.way[1] : edge.way[edge.way.length - 2]);

  function path(edge, from, to) {
    let at = { x: edge.from.x + WIDTH, y: from };
    let drawn = `M${at.x} ${at.y}`;
    const reach = (x, y) => {
      const bend = (x - at.x) / 2;
      drawn += `C${at.x + bend} ${at.y} ${x - bend} ${y} ${x} ${y}`;
      at = { x, y };
    };
    for (const thread of edge.way.slice(1, -1)) {
      reach(thread.x, thread.y);
      at = { x: thread.x + WIDTH, y: thread.y };
      drawn += `H${at.x}`;
    }
    reach(edge.to.x - 2, to);
    return drawn;
  }

  function drawEdge(edge) {
    const to = port(edge, edge.to.inputs, edge.to);
    edge.element = draw(view, "path", {
      class: "edge", d: path(edge, port(edge, edge.from.readers, edge.from), to), "marker-end": "url(#arrow)",
      "data-from": edge.from.uuid, "data-to": edge.to.uuid,
    });
    const label = edge.arguments.filter(Boolean).join(", ");
    draw(edge.element, "title", {}, label);
    if (edges.size <= LABELS && edge.to.inputs.length <= LABELS_AT_ONE) {
      edge.label = draw(view, "text", { class: "argument", x: edge.to.x - 12, y: to - 4 }, cut(label, 14));
    }
  }

  // What made them, the most frequent first: of those that follow each other no colours are alike

  const made = new Map();
  for (const node of nodes.values()) if (node.here) made.set(maker(node), (made.get(maker(node)) ?? 0) + 1);
  const makers = [...made].sort(([, one], [, other]) => other - one);
  const hues = new Map(makers.map(([name], place) => [name, (210 + place * 137.5) % 360]));

  function drawNode(node) {
    const look = ["node", node.here ? "" : "gone", node.uuid === graph.start ? "start" : ""].filter(Boolean).join(" ");
    const group = draw(view, "g", {
      class: look, transform: `translate(${node.x} ${node.y - HEIGHT / 2})`, tabindex: 0, role: "button",
      "data-uuid": node.uuid, "aria-label": shown(node),
    });
    group.style.setProperty("--hue", hues.get(maker(node)) ?? 0);
    draw(group, "title", {}, [shown(node), params(node), node.uuid].filter(Boolean).join("\n"));
    draw(group, "rect", { class: "box", width: WIDTH, height: HEIGHT, rx: 8 });
    draw(group, "rect", { class: "strip", x: 7, y: 9, width: 4, height: HEIGHT - 18, rx: 2 });
    draw(group, "text", { class: "name", x: 20, y: 20 }, cut(shown(node)));
    const below = node.here ? `${node.uuid.slice(0, 8)} · ${params(node) || briefly(node.created)}` : node.uuid.slice(0, 18) + "…";
    draw(group, "text", { class: "below", x: 20, y: 37 }, cut(below, LETTERS_BELOW));
    group.addEventListener("click", () => { if (!held.moved) choose(node); });
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(node); }
    });
    node.element = group;
  }

  // What is recorded of a bundle

  function add(parent, kind, text, look) {
    const element = parent.appendChild(document.createElement(kind));
    if (text !== undefined) element.textContent = text;
    if (look) element.className = look;
    return element;
  }

  function section(title, pairs) {
    const told = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
    if (!told.length) return;
    if (title) add(details, "h3", title);
    const list = add(details, "dl");
    for (const [name, value] of told) {
      if (name) add(list, "dt", name);
      add(list, "dd", String(value), name ? "" : "alone");
    }
  }

  function neighbours(title, found, other) {
    if (!found.length) return;
    add(details, "h3", title);
    for (const edge of found) {
      const names = edge.arguments.filter(Boolean).join(", "), node = other(edge);
      const with_params = shown(node) + (params(node) ? ` (${params(node)})` : "");
      const button = add(details, "button", (names ? names + ": " : "") + with_params);
      button.addEventListener("click", () => choose(other(edge), true));
    }
  }

  function size(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
    return (unit ? bytes.toFixed(1) : bytes) + " " + units[unit];
  }

  function tell(node) {
    details.replaceChildren();
    details.hidden = false;
    const close = add(details, "button", "×", "close");
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => choose(null));
    add(details, "h2", shown(node));
    add(details, "div", node.uuid, "uuid");
    if (!node.here) {
      const told = "It is not in this context, and so what it was made from is not known. Where it was pushed, this gets it:";
      add(details, "p", told);
      add(details, "code", `dsdt pull -u ${node.uuid}`);
    } else {
      const took = node.started && node.stopped ? (new Date(node.stopped) - new Date(node.started)) / 1000 + " s" : "";
      section("", [
        ["created", moment(node.created)], ["took", took], ["owner", node.owner],
        ["size", size(node.size_bytes) + (node.files ? ` in ${node.files} file${node.files === 1 ? "" : "s"}` : "")],
        ["committed", node.committed ? "yes" : "no"], ["processing name", node.processing_name],
      ]);
      section("Parameters", Object.entries(node.params));
      section("Made because", node.why.split("; ").map((each) => ["", each]));
      section("Tags", Object.entries(node.tags));
      section("Metrics", Object.entries(node.metrics));
      section("Code", Object.entries(node.code));
      section("Run", Object.entries(node.run));
    }
    neighbours("Made from", node.inputs, (edge) => edge.from);
    neighbours("Read by", node.readers, (edge) => edge.to);
  }

  // Choosing and finding

  function reached(node, edgesOf, far) {
    const found = new Set(), waiting = [node];
    while (waiting.length) {
      for (const edge of edgesOf(waiting.pop())) {
        if (!found.has(edge)) { found.add(edge); waiting.push(far(edge)); }
      }
    }
    return found;
  }

  function choose(node, bring) {
    for (const button of by("legend").querySelectorAll("button")) button.setAttribute("aria-pressed", "false");
    const before = reached(node ?? {}, (each) => each.inputs ?? [], (edge) => edge.from);
    const after = reached(node ?? {}, (each) => each.readers ?? [], (edge) => edge.to);
    const related = new Set([...before, ...after]);
    const near = new Set([node, ...[...related].flatMap((edge) => [edge.from, edge.to])]);
    for (const each of nodes.values()) {
      each.element.classList.toggle("chosen", each === node);
      each.element.classList.toggle("dimmed", Boolean(node) && !near.has(each));
    }
    for (const edge of edges.values()) {
      edge.element.classList.toggle("related", related.has(edge));
      for (const element of [edge.element, edge.label]) {
        element?.classList.toggle("dimmed", Boolean(node) && !related.has(edge));
      }
    }
    if (!node) { details.hidden = true; return; }
    tell(node);
    const right = place.x + (node.x + WIDTH) * place.scale;
    if (bring || right > room().width) centre(node);
  }

  function matching(text) {
    const sought = text.toLowerCase();
    return [...nodes.values()].filter((node) => {
      const told = node.here ? [node.name, node.processing_name, ...Object.entries({ ...node.tags, ...node.params }).flat()] : [];
      return [node.uuid, ...told].some((each) => each.toLowerCase().includes(sought));
    });
  }

  by("find").addEventListener("input", (event) => {
    choose(null);
    const found = new Set(matching(event.target.value));
    for (const node of nodes.values()) node.element.classList.toggle("dimmed", !found.has(node));
  });
  by("find").addEventListener("keydown", (event) => {
    const [first] = matching(event.target.value);
    if (event.key === "Enter" && first) choose(first, true);
  });

  // The legend

  function legend() {
    for (const [name, count] of makers.slice(0, LISTED)) {
      const button = entry("button", cut(name || "(unknown)", 40), "", hues.get(name));
      add(button, "b", count.toLocaleString());
      button.title = name;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => only(button, name));
    }
    if (makers.length > LISTED) entry("span", `and ${(makers.length - LISTED).toLocaleString()} more`);
    entry("span", "asked for", "start");
    if ([...nodes.values()].some((node) => !node.here)) entry("span", "not here", "gone");
  }

  function entry(kind, text, look, hue) {
    const made = add(by("legend"), kind);
    const mark = add(made, "i", undefined, look);
    mark.style.setProperty("--hue", hue);
    if (hue === undefined && !look) mark.style.visibility = "hidden";
    add(made, "span", text);
    return made;
  }

  function only(button, name) {
    const is_on = button.getAttribute("aria-pressed") === "true";
    choose(null);
    if (is_on) return;
    button.setAttribute("aria-pressed", "true");
    for (const node of nodes.values()) node.element.classList.toggle("dimmed", maker(node) !== name);
  }

  // Moving about

  const room = () => canvas.getBoundingClientRect();
  let place = { x: 0, y: 0, scale: 1 };
  const held = { at: null, moved: false };

  function move(next) {
    place = next;
    view.setAttribute("transform", `translate(${place.x} ${place.y}) scale(${place.scale})`);
  }

  function zoom(factor, x = room().width / 2, y = room().height / 2) {
    const scale = Math.min(CLOSEST, Math.max(0.02, place.scale * factor));
    const real = scale / place.scale;
    move({ scale, x: x - (x - place.x) * real, y: y - (y - place.y) * real });
  }

  function fit() {
    const box = view.getBBox(), margin = 40;
    const free = [room().width - 2 * margin, room().height - 2 * margin];
    const scale = Math.max(0.02, Math.min(1.2, free[0] / box.width, free[1] / box.height));
    move({
      scale,
      x: (room().width - box.width * scale) / 2 - box.x * scale,
      y: (room().height - box.height * scale) / 2 - box.y * scale,
    });
  }

  function centre(node, across = 0.5) {
    const scale = Math.max(place.scale, 0.7);
    move({
      scale,
      x: room().width * across - (node.x + WIDTH / 2) * scale,
      y: room().height / 2 - node.y * scale,
    });
  }

  // Of a large graph the bundle that was asked for, and what is around it: nobody could read all of it.
  function begin() {
    fit();
    const start = nodes.get(graph.start);
    if (place.scale < READABLE) centre(start, start.readers.length ? 0.2 : 0.8);
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = room();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    held.at = { x: event.clientX - place.x, y: event.clientY - place.y, from: [event.clientX, event.clientY] };
    held.moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!held.at) return;
    const [x, y] = held.at.from;
    held.moved ||= Math.hypot(event.clientX - x, event.clientY - y) > 4;
    canvas.classList.toggle("held", held.moved);
    if (held.moved) move({ ...place, x: event.clientX - held.at.x, y: event.clientY - held.at.y });
  });
  window.addEventListener("pointerup", () => {
    held.at = null;
    canvas.classList.remove("held");
  });
  canvas.addEventListener("click", (event) => {
    if (!held.moved && !event.target.closest(".node")) choose(null);
  });
  by("closer").addEventListener("click", () => zoom(1.3));
  by("farther").addEventListener("click", () => zoom(1 / 1.3));
  by("fit").addEventListener("click", fit);
  window.addEventListener("keydown", (event) => {
    if (event.target === by("find")) return;
    const act = { "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit, Escape: () => choose(null) };
    act[event.key]?.();
  });
  window.addEventListener("resize", begin);

  const layers = layered();
  ordered(layers);
  settled(layers);
  edges.forEach(drawEdge);
  nodes.forEach(drawNode);
  legend();
  const many = (number, thing) => `${number.toLocaleString()} ${thing}${number === 1 ? "" : "s"}`;
  by("count").textContent = `${many(nodes.size, "bundle")}, ${many(edges.size, "edge")}`;
  begin();
})();
