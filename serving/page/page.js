// The page of the decision service: a form made of what `GET /v1` declares, its answer, an entity, and the traffic.
// Nothing is kept: the key and what was seen of the traffic go with the page. Texts become text nodes only.
"use strict";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const POLL = 2000, KEPT = 150, RECENT = 30; // milliseconds, samples in charts, samples in figures
const OWN = ["/", "/page/", "/v1", "/v1/traffic", "/openapi.json", "/healthz", "/readyz", "/metrics", "none"];
const at = id => document.getElementById(id);
let useCases = [], shown = null, features = [], samples = [];

function make(tag, given = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) found.setAttribute(name, value);
  found.append(...children.filter(child => child !== null && child !== undefined));
  return found;
}

function draw(tag, given, text) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) found.setAttribute(name, value);
  if (text !== undefined) found.textContent = text;
  return found;
}

// Integers that a double does not hold stay the texts that they came as.
function parsed(text) {
  const exact = (name, value, context) =>
    typeof value === "number" && context && /^-?\d+$/.test(context.source) && !Number.isSafeInteger(value)
      ? context.source : value;
  return JSON.parse(text, exact);
}

async function ask(path, method = "GET", body = undefined) {
  const headers = body === undefined ? {} : {"content-type": "application/json"};
  if (at("key").value) headers.authorization = `Bearer ${at("key").value}`;
  let answer, content;
  const began = performance.now();
  try {
    answer = await fetch(path, {method, headers, body});
    content = await answer.text();
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
  const milliseconds = performance.now() - began;
  let found;
  try { found = parsed(content); } catch { found = {error: `The server answered ${answer.status} without words.`}; }
  if (!answer.ok) throw Object.assign(new Error(found.error), {status: answer.status});
  return {found, milliseconds};
}

function shortly(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "string" && MOMENT.test(value)) return value.slice(0, 19).replace("T", " ");
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : String(value);
  const size = Math.abs(value);
  if (size >= 1e15 || (size < 1e-6 && size > 0)) return value.toPrecision(4);
  return value.toLocaleString("en", Number.isInteger(value) ? {} : {maximumSignificantDigits: 6});
}

const named = value => typeof value === "number" ? String(value) : shortly(value); // ids are not grouped

// ---- the form

function freshId(form) {
  const number = String(Date.now() * 1000 + Math.floor(Math.random() * 1000));
  return form === "integer" ? number : `try-${number}`;
}

function field(column, value) {
  const id = `column-${column.name}`, given = {id, name: column.name, "aria-describedby": `${id}-about`};
  const hints = {number: "decimal", integer: "numeric"};
  if (hints[column.form]) given.inputmode = hints[column.form];
  if (column.form === "time") given.placeholder = "now";
  if (column.required) given["aria-required"] = "true";
  const control = column.form === "boolean"
    ? make("select", given, ...["", "true", "false"].map(each => make("option", {value: each}, each || "not told")))
    : make("input", {...given, autocomplete: "off"});
  control.value = value;
  const bounds = [["minimum", "from"], ["maximum", "to"]].filter(([name]) => column[name] !== undefined)
    .map(([name, word]) => `${word} ${column[name].toLocaleString("en")}`).join(" ");
  const about = make("small", {id: `${id}-about`}, [column.meaning, bounds && `A number ${bounds}.`].filter(Boolean).join(" "));
  return make("div", {class: "field"}, make("label", {for: id}, column.name + (column.required ? "" : " (optional)")), control, about);
}

function fill() {
  const example = shown.example || {};
  const value = column => column.name === shown.id ? freshId(column.form)
    : example[column.name] === undefined || example[column.name] === null ? ""
    : Array.isArray(example[column.name]) ? example[column.name].join(", ") : String(example[column.name]);
  at("fields").replaceChildren(...(shown.columns || []).map(column => field(column, value(column))));
}

// JSON of one field: a number goes as it was typed, with all its digits; what is no number goes as a text, and is refused.
function written(column, text) {
  if (column.form === "boolean") return text;
  if (column.form === "vector") return `[${text.split(",").map(part => written({form: "number"}, part.trim())).join(", ")}]`;
  const numeric = column.form === "number" || column.form === "integer";
  return numeric && NUMBER.test(text) ? text : JSON.stringify(text);
}

function event() {
  const members = [];
  for (const column of shown.columns) {
    const text = at(`column-${column.name}`).value.trim();
    if (text) members.push(`${JSON.stringify(column.name)}: ${written(column, text)}`);
  }
  return `{${members.join(", ")}}`;
}

// ---- the answer

function failed(place, error) {
  place.replaceChildren(make("p", {class: "error"}, error.message));
  if (error.status === 401) at("key").focus();
}

function scale(score) {
  const svg = draw("svg", {class: "scale", viewBox: "0 0 400 46", role: "img", "aria-label": `Score ${shortly(score)} of 0 to 1`});
  svg.append(draw("rect", {class: "track", x: 0, y: 4, width: 400, height: 14, rx: 7}));
  svg.append(draw("rect", {class: "level", x: 0, y: 4, width: Math.max(6, 400 * score), height: 14, rx: 7}));
  for (const name of ["review", "block"]) {
    if (typeof shown[name] !== "number") continue;
    const x = 400 * shown[name];
    svg.append(draw("line", {class: "mark", x1: x, x2: x, y1: 0, y2: 22}));
    svg.append(draw("text", {x, y: 40, "text-anchor": x > 320 ? "end" : "middle"}, `${name} from ${shown[name]}`));
  }
  return svg;
}

function answered(decision, milliseconds) {
  const word = decision.decision || decision.prediction || (decision.score === null ? "No decision" : "A number");
  const verdict = make("div", {class: decision.decision || ""}, make("p", {class: "verdict"}, word));
  if (shown.task === "binary" && decision.score !== null) verdict.append(scale(decision.score));
  const facts = [
    ["Score", decision.score === null ? "none: no model answered" : shortly(decision.score)],
    ["Between", decision.lower === undefined ? null : `${shortly(decision.lower)} and ${shortly(decision.upper)}`],
    ["Model version", decision.model_version ?? "none"],
    ["Answered in", `${milliseconds.toFixed(1)} ms, as this page saw it`],
    ["Decided at", decision.decided_at],
    ["Tables as of", decision.freshness.tables_as_of],
    ["Fallback", decision.fallback ? `${decision.fallback}: ${decision.reason ?? ""}` : "none"],
  ].filter(([, text]) => text !== null);
  at("answer").replaceChildren(verdict, make("dl", {}, ...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])));
}

function explained(decision) {
  const reasons = (decision.reasons || []).map(reasoned);
  at("why").replaceChildren(make("h3", {}, "Reasons"), reasons.length
    ? make("ul", {class: "reasons"}, ...reasons) : make("p", {class: "muted"}, "No feature moves the score alone."));
  features = Object.entries(decision.features || {}).map(([name, value]) => ({name, value, meaning: shown.features[name] || ""}));
  at("features-part").hidden = !features.length;
  filtered();
}

function reasoned(reason) {
  const up = reason.effect > 0, column = shown.columns.find(each => each.name === reason.feature);
  const meaning = shown.features[reason.feature] || (column ? column.meaning : "");
  return make("li", {class: up ? "raises" : "lowers"}, make("strong", {}, `${reason.feature} is ${shortly(reason.value)}`),
    `: this ${up ? "raises" : "lowers"} the score by ${shortly(Number(Math.abs(reason.effect).toPrecision(3)))}.`,
    make("small", {class: "muted"}, meaning));
}

function filtered() {
  const word = at("filter").value.trim().toLowerCase();
  const kept = features.filter(each => `${each.name} ${each.meaning}`.toLowerCase().includes(word));
  at("features").replaceChildren(table(["Feature", "Value", "Meaning"], kept.map(each => [each.name, each.value, each.meaning])));
}

function table(heads, rows) {
  const cell = (value, place) => place === 0 ? make("th", {scope: "row"}, named(value))
    : make("td", typeof value === "string" && !MOMENT.test(value) ? {} : {class: "value"}, shortly(value));
  return make("table", {class: "reflow"}, make("thead", {}, make("tr", {}, ...heads.map(head => make("th", {scope: "col"}, head)))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map(cell)))));
}

async function decide(submitted) {
  submitted.preventDefault();
  if (at("form").getAttribute("aria-busy") === "true") return;
  at("form").setAttribute("aria-busy", "true"); // a disabled button would lose the keyboard's place
  const path = `/v1/${shown.name}/decisions`, body = event();
  try {
    const {found, milliseconds} = await ask(path, "POST", body);
    answered(found, milliseconds);
    // The same event again has the same decision, this time with its reasons.
    explained((await ask(`${path}?explain=true&features=true`, "POST", body)).found);
    const id = shown.columns.find(column => column.name === shown.id);
    at(`column-${id.name}`).value = freshId(id.form);
  } catch (error) {
    failed(at("answer"), error);
    at("why").replaceChildren();
    at("features-part").hidden = true;
  }
  at("form").setAttribute("aria-busy", "false");
}

// ---- an entity

async function lookUp(submitted) {
  submitted.preventDefault();
  const kind = at("entity-kind").value, id = at("entity-id").value.trim();
  try {
    const path = `/v1/${shown.name}/entities/${encodeURIComponent(id)}?entity=${encodeURIComponent(kind)}`;
    if (!id) throw new Error("Id: expected one, found none; type it.");
    at("entity").replaceChildren(...(await ask(path)).found.flatMap(known));
  } catch (error) { failed(at("entity"), error); }
}

function known(entity) {
  const parts = [make("h3", {}, `${entity.entity} ${named(entity.id)}`), make("p", {class: "muted"},
    `${entity.meaning} Known facts: ${Object.entries(entity.facts).map(([of, count]) => `${of} ${shortly(count)}`).join(", ")}.`)];
  for (const [title, rows] of [[`Latest ${entity.of}`, entity.latest_events], ["Latest reports", entity.latest_labels]]) {
    if (!rows.length) continue;
    const heads = [...new Set(rows.flatMap(Object.keys))];
    parts.push(make("h3", {}, title), make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": title},
      table(heads, rows.map(row => heads.map(head => /(^|_)id$/.test(head) ? named(row[head]) : row[head] ?? null)))));
  }
  if (entity.of !== "events") return parts;
  const rows = Object.entries(entity.features).map(([name, each]) => [name, each.value, each.meaning]);
  parts.push(make("h3", {}, "Features"), rows.length
    ? make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "Features of the entity"},
      make("p", {class: "muted small"}, `As of its last decision, ${entity.last_decided_at}.`), table(["Feature", "Value", "Meaning"], rows))
    : make("p", {class: "muted"}, "Nothing was decided about it here yet."));
  return parts;
}

// ---- the traffic

function sample(counts) {
  const foreign = each => !OWN.includes(each.route) && !each.route.startsWith("/page/") && !each.route.startsWith("/v2/health");
  const sum = list => list.reduce((total, each) => total + each.count, 0);
  const requests = counts.requests.filter(foreign), timed = counts.seconds.filter(foreign);
  const bounds = timed.length ? timed[0].bounds : [];
  return {
    at: counts.at, requests: sum(requests), errors: sum(requests.filter(each => !/^(2|OK)/.test(each.status))),
    fallbacks: sum(counts.fallbacks), decisions: sum(counts.decisions), bounds,
    slow: bounds.map((_, place) => timed.reduce((total, each) => total + each.counts[place], 0)),
  };
}

// The time that a share of the requests between two samples took at most: between two bounds, as if evenly spread.
function quantile(before, after, share) {
  const counts = after.slow.map((count, place) => count - (before.slow[place] ?? 0)), all = counts.at(-1);
  if (!all) return null;
  const place = counts.findIndex(count => count >= share * all);
  const low = place ? after.bounds[place - 1] : 0, high = after.bounds[place] ?? low, below = place ? counts[place - 1] : 0;
  return 1000 * (low + (high - low) * (share * all - below) / Math.max(1, counts[place] - below));
}

function rate(before, after, name) {
  return after.at > before.at ? (after[name] - before[name]) / (after.at - before.at) : 0;
}

const inTime = value => value === null ? "–" : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;

function drawTraffic(counts) {
  const last = samples.at(-1), first = samples[Math.max(0, samples.length - 1 - RECENT)];
  const minute = samples.length > 1 ? [rate(first, last, "requests"), quantile(first, last, .5), quantile(first, last, .99)] : [0, null, null];
  const tiles = [
    [minute[0].toLocaleString("en", {maximumFractionDigits: 1}), "requests a second"],
    [inTime(minute[1]), "half took at most"], [inTime(minute[2]), "99 of 100 took at most"],
    [shortly(last.decisions), "decisions since the start"], [shortly(last.fallbacks), "of them by fallbacks"],
    [shortly(last.errors), "refused or failed"],
  ];
  at("tiles").replaceChildren(...tiles.map(([value, name]) => make("div", {class: "tile"}, make("b", {}, value), make("span", {}, name))));
  const pairs = samples.slice(1).map((each, place) => [samples[place], each]);
  chart(at("rates"), [["bars", pairs.map(pair => rate(...pair, "requests"))]]);
  chart(at("times"), [["tail", pairs.map(pair => quantile(...pair, .99))], ["half", pairs.map(pair => quantile(...pair, .5))]]);
  drawVerdicts(counts);
}

function chart(svg, lines) {
  const most = Math.max(1e-9, ...lines.flatMap(([, values]) => values.map(value => value ?? 0)));
  const x = (place, count) => 600 - (count - place) * 600 / KEPT, y = value => 100 - 92 * value / most;
  const parts = [draw("line", {class: "axis", x1: 0, x2: 600, y1: 100, y2: 100})];
  for (const [kind, values] of lines) {
    const point = (value, place) => value === null ? null : `${x(place, values.length) + 2},${y(value)}`;
    if (kind !== "bars") {
      parts.push(...runs(values.map(point)).map(run => draw("polyline", {class: kind, points: [run[0], ...run].join(" ")})));
      continue;
    }
    const bar = (value, place) => draw("rect", {class: kind, x: x(place, values.length), width: 600 / KEPT - .6, y: y(value), height: 100 - y(value)});
    parts.push(...values.map(bar));
  }
  svg.replaceChildren(...parts);
  at(`${svg.id}-most`).textContent = most > 1e-9 ? `Up to ${shortly(Number(most.toPrecision(3)))}` : "Nothing yet";
}

function runs(points) {
  const found = [[]];
  for (const point of points) point === null ? found.push([]) : found.at(-1).push(point);
  return found.filter(run => run.length);
}

function drawVerdicts(counts) {
  const fallbacks = counts.fallbacks.map(each => [each.use_case, `by the fallback ${each.fallback}`, "", each.count]);
  const rows = [...counts.decisions.map(each => [each.use_case, each.decision, each.model === "none" ? "no model" : `version ${each.model}`, each.count]), ...fallbacks]
    .sort((one, other) => String(one).localeCompare(String(other)));
  const versions = Object.entries(counts.models).map(([name, version]) => `${name}: version ${version}`).join(", ");
  const refused = Object.entries(counts.refused).map(([name, reason]) => make("p", {class: "error"}, `${name}: a newer model is not in service: ${reason}`));
  at("verdicts").replaceChildren(make("p", {}, `In service: ${versions || "no model"}.`), ...refused,
    rows.length ? table(["Use case", "Verdict", "Model", "Decisions"], rows) : make("p", {class: "muted"}, "Nothing was decided since the server started."));
}

async function watch() {
  try {
    const counts = (await ask("/v1/traffic")).found, next = sample(counts);
    if (samples.length && next.requests < samples.at(-1).requests) samples = []; // the server started anew
    samples = [...samples, next].slice(-KEPT - 1);
    drawTraffic(counts);
  } catch (error) {
    at("tiles").replaceChildren(make("p", {class: "muted"}, error.status ? `The traffic is not shown: ${error.message}` : error.message));
  }
  setTimeout(watch, document.hidden ? 5 * POLL : POLL);
}

// ---- the use cases

function show() {
  shown = useCases.find(each => each.name === at("use-case").value) || null;
  at("form").hidden = !shown || Boolean(shown.no_decisions);
  at("entity-form").hidden = at("form").hidden;
  at("features-part").hidden = true;
  at("why").replaceChildren();
  at("entity").replaceChildren();
  if (!shown) return;
  at("about").textContent = `${shown.description} Model: ${shown.model_version ? `version ${shown.model_version}` : "none in service"}.`;
  const start = "Send an event to see what is decided about it, and why.";
  at("answer").replaceChildren(make("p", {class: shown.no_decisions ? "error" : "muted"}, shown.no_decisions || start));
  fill();
  const kinds = Object.entries(shown.entities || {});
  at("entity-kind").replaceChildren(...kinds.map(([name]) => make("option", {value: name}, name)));
  exampleEntity();
}

function exampleEntity() {
  const value = (shown.example || {})[at("entity-kind").value];
  at("entity-id").value = value === undefined ? "" : String(value);
}

async function load() {
  try {
    useCases = (await ask("/v1")).found.use_cases;
    at("problem").hidden = true;
  } catch (error) {
    useCases = [];
    at("problem").textContent = error.message;
    at("problem").hidden = false;
    if (error.status === 401) at("key").focus();
  }
  const chosen = at("use-case").value;
  at("use-case").replaceChildren(...useCases.map(each => make("option", {value: each.name}, each.name)));
  if (useCases.some(each => each.name === chosen)) at("use-case").value = chosen;
  show();
}

// A link cannot send a key, so the document is fetched and shown from memory.
async function openDocument(clicked) {
  if (!at("key").value) return;
  clicked.preventDefault();
  try {
    const {found} = await ask("/openapi.json");
    const link = make("a", {href: URL.createObjectURL(new Blob([JSON.stringify(found, null, 2)], {type: "application/json"})), download: "openapi.json"});
    link.click();
  } catch (error) { failed(at("answer"), error); }
}

at("form").addEventListener("submit", decide);
at("entity-form").addEventListener("submit", lookUp);
at("reset").addEventListener("click", fill);
at("filter").addEventListener("input", filtered);
at("use-case").addEventListener("change", show);
at("entity-kind").addEventListener("change", exampleEntity);
at("key").addEventListener("change", load);
at("openapi").addEventListener("click", openDocument);
load();
watch();
