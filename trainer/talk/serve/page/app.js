// The page: asks, shows what comes, and sends what people say about it. Text is only ever set as text, never as HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const log = $("log");
// crypto.randomUUID is missing where the page comes over plain HTTP from another machine
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
const session = uuid(); // tells that two choices have one author, and not who that is
let about = null;
let messages = []; // the conversation, without the system message
let running = null; // the AbortController of what is being written

function make(tag, parent, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function button(parent, label, action, title) {
  const element = make("button", parent, "", label);
  element.type = "button";
  if (title) { element.title = title; element.setAttribute("aria-label", title); }
  element.addEventListener("click", () => action(element));
  return element;
}

async function call(path, body, signal) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if ($("key").value) headers.Authorization = "Bearer " + $("key").value;
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached.");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => null);
    throw new Error(answer?.error?.message || "The server answered " + response.status + ".");
  }
  return response;
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    const parts = rest.split("\n");
    rest = parts.pop();
    yield* parts;
  }
  if (rest) yield rest;
}

// Stored for certain or told otherwise: the id is made here, so trying again stores it once.
async function store(path, body) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await (await call(path, body)).json();
    } catch (error) {
      if (attempt === 2) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

const system = () => ($("system").value.trim() ? [{ role: "system", content: $("system").value.trim() }] : []);
const sampling = () => ({
  temperature: Number($("temperature").value),
  top_p: 0.95,
  max_tokens: Math.min(Number($("max-tokens").value) || about.max_tokens, about.max_tokens), // as the server cuts it
});
const thanks = (consent) => "Thank you." + (consent ? "" : " It is kept, but nothing is trained on it: you have not agreed to that (see Settings).");
const promises = () => ({ consent: $("consent").checked, mask: $("mask").checked });

// An answer that is being written. `asked` is what `answerLast` fixed; `turns` are the messages before the last text.
function newAnswer(parent, asked, name) {
  const card = make("article", parent, "answer writing");
  if (name) make("div", card, "name", name);
  const body = make("div", card);
  let text = make("div", body, "text");
  return {
    card, asked, said: "", turns: [], calls: [], sampling: asked.sampling, failed: false,
    add(piece) { this.said += piece; text.textContent = this.said; },
    // Calls that follow each other without text between them are one message's; the results stand behind it.
    tool(use) {
      if (this.said || !this.turns.length) {
        this.turns.push({ role: "assistant", content: this.said, tool_calls: [] });
        if (this.said) text = make("div", null, "text");
        this.said = "";
      }
      const asking = this.turns.findLast((message) => message.role === "assistant");
      asking.tool_calls.push({ type: "function", function: { name: use.tool, arguments: use.input } });
      this.turns.push({ role: "tool", content: use.text });
      const box = make("div", body, "tool");
      make("code", box, "", use.tool + " " + use.input);
      make("pre", box, use.error ? "error" : "", use.text);
      if (use.picture && use.picture.startsWith("data:image/png;base64,")) {
        const picture = make("img", box);
        picture.src = use.picture;
        picture.alt = use.text;
      }
      for (const source of use.sources || []) make("div", box, "quiet", source.url + " · document " + source.id);
      body.append(text);
    },
    // Calls that nobody answers: of tools that are not here, or one more after the most that a turn may make.
    unanswered(calls) {
      this.calls = calls.map((each) => ({ type: "function", function: each.function }));
      for (const { function: { name } } of calls) {
        this.note("The model asks for " + name + (about.tools.includes(name) ? " once more than a turn may." : ", which is not served here."));
      }
    },
    note(message) { make("p", card, "quiet note", message); },
    fail(message) { this.failed = true; make("p", card, "error", message).setAttribute("role", "alert"); },
    end() { card.classList.remove("writing"); },
    // The conversation goes on without unanswered calls, which no model may read; what is reported has them.
    history() { return [...this.turns, { role: "assistant", content: this.said }]; },
    messages() {
      const last = { role: "assistant", content: this.said };
      return [...this.turns, this.calls.length ? { ...last, tool_calls: this.calls } : last];
    },
    source() { return { model: this.asked.model, checkpoint: this.checkpoint, sampling: this.sampling }; },
  };
}

async function write(answer, signal) {
  const { model, messages, sampling } = answer.asked;
  answer.sampling = { ...sampling, seed: seed() };
  try {
    const response = await call("v1/chat/completions", { model, messages, stream: true, ...answer.sampling }, signal);
    for await (const line of lines(response)) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const event = JSON.parse(line.slice(6));
      if (event.error) { answer.fail(event.error.message); break; }
      answer.checkpoint = event.corpuscle.checkpoint;
      const choice = event.choices[0];
      if (choice?.delta.content) answer.add(choice.delta.content);
      if (choice?.delta.corpuscle_tool) answer.tool(choice.delta.corpuscle_tool);
      if (choice?.delta.tool_calls) answer.unanswered(choice.delta.tool_calls);
      if (choice?.finish_reason === "length") answer.note("Cut at the limit.");
    }
  } catch (error) {
    if (error.name !== "AbortError") answer.fail(error.message);
  }
  answer.end();
}

function seed() { return crypto.getRandomValues(new Uint32Array(1))[0]; }

async function busy(work) {
  running = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  try { await work(running.signal); } finally {
    running = null;
    $("send").hidden = false;
    $("stop").hidden = true;
    window.scrollTo(0, document.body.scrollHeight);
  }
}

async function ask(text) {
  make("div", make("section", log, "turn"), "user", text);
  messages.push({ role: "user", content: text });
  await answerLast();
}

// What is asked of whom is fixed here: the settings may change before somebody judges the answer.
async function answerLast() {
  const history = messages.slice();
  const asked = { model: $("models").value, history, messages: [...system(), ...history], sampling: sampling() };
  const turn = make("section", log, "turn");
  const mode = $("mode").value;
  await busy((signal) => ({ chat: answerOne, pair: answerTwo, arena: answerArena })[mode](turn, asked, signal));
}

// The conversation goes on with this answer, unless it has gone on without it: a new chat, or a later question.
function goOn(turn, answer) {
  if (turn.isConnected && !turn.nextSibling) messages = [...answer.asked.history, ...answer.history()];
}

async function answerOne(turn, asked, signal) {
  const answer = newAnswer(make("div", turn, "answers"), asked);
  await write(answer, signal);
  if (!answer.failed) goOn(turn, answer);
  const actions = make("div", answer.card, "actions");
  if (!answer.failed) thumbs(actions, answer);
  button(actions, "Regenerate", async () => {
    if (running) return;
    while (turn.nextSibling) turn.nextSibling.remove();
    turn.remove();
    messages = asked.history;
    await answerLast();
  });
}

function thumbs(actions, answer) {
  const base = () => ({ ...answer.source(), messages: [...answer.asked.messages, ...answer.messages()], ...promises() });
  const ids = { 1: uuid(), "-1": uuid() };
  const note = make("span", null, "quiet");
  const rate = async (element, rating) => {
    element.disabled = true;
    try {
      const body = { id: ids[rating], rating, ...base() };
      await store("api/reports", body);
      element.setAttribute("aria-pressed", "true");
      note.textContent = thanks(body.consent);
    } catch (error) {
      element.disabled = false;
      note.textContent = "Not stored: " + error.message;
    }
  };
  button(actions, "Good", (element) => rate(element, 1), "Good answer");
  button(actions, "Bad", (element) => rate(element, -1), "Bad answer");
  button(actions, "Report a problem", () => openReport(base, note));
  actions.append(note);
}

function openReport(base, note) {
  const dialog = $("report");
  const id = uuid();
  dialog.querySelector("form").reset(); // what was cancelled is gone
  $("report-error").hidden = true;
  $("report-consent").checked = $("consent").checked;
  $("report-send").onclick = async () => {
    $("report-send").disabled = true;
    try {
      const said = { category: $("category").value, description: $("description").value, wished_answer: $("wished").value || null };
      const consent = $("report-consent").checked;
      await store("api/reports", { id, ...said, ...base(), consent });
      dialog.close();
      note.textContent = "Reported. " + thanks(consent);
    } catch (error) { // what was written stays in the dialog, to be sent again
      $("report-error").textContent = "Not stored: " + error.message;
      $("report-error").hidden = false;
    } finally { $("report-send").disabled = false; }
  };
  $("report-cancel").onclick = () => dialog.close();
  dialog.showModal();
}

async function answerTwo(turn, asked, signal) {
  const box = make("div", turn, "answers two");
  const answers = [newAnswer(box, asked, "A"), newAnswer(box, asked, "B")];
  await Promise.all(answers.map((answer) => write(answer, signal)));
  if (answers.some((answer) => answer.failed)) return;
  if (signal.aborted) { stopped(turn, answers[0]); return; }
  const id = uuid();
  const [a, b] = answers.map((answer) => {
    const more = answer.turns.length || answer.calls.length; // than a text
    return { text: answer.said, messages: more ? answer.messages() : [], ...answer.source() };
  });
  choices(turn, answers, async (choice, said) => {
    await store("api/comparisons", { id, session, messages: asked.messages, a, b, choice, ...said });
  });
}

// Of two answers that were cut neither is the better one.
function stopped(turn, answer) {
  make("p", turn, "quiet", "Stopped. The conversation goes on with A.");
  goOn(turn, answer);
}

async function answerArena(turn, asked, signal) {
  const box = make("div", turn, "answers two");
  const answers = [newAnswer(box, asked, "A"), newAnswer(box, asked, "B")];
  let match = null;
  try {
    const body = { messages: asked.messages, max_tokens: asked.sampling.max_tokens };
    for await (const line of lines(await call("api/arena", body, signal))) {
      const event = JSON.parse(line);
      if (event.error) answers[0].fail(event.error);
      if (event.match) match = event.match;
      if (event.side && event.text) answers["ab".indexOf(event.side)].add(event.text);
      if (event.side && event.tool) answers["ab".indexOf(event.side)].tool(event.tool);
    }
  } catch (error) {
    if (error.name !== "AbortError") answers[0].fail(error.message);
  }
  answers.forEach((answer) => answer.end());
  if (signal.aborted) { stopped(turn, answers[0]); return; }
  if (!match) return;
  choices(turn, answers, async (choice, said) => {
    const told = await store("api/arena/choice", { match, choice, session, ...said });
    answers.forEach((answer, place) => { answer.card.querySelector(".name").textContent = "AB"[place] + ": " + told["ab"[place]]; });
    await showRatings();
  });
}

// The conversation goes on with the better answer; after a tie with A's.
function choices(turn, answers, keep) {
  const actions = make("div", turn, "actions");
  const note = make("span", null, "quiet", "Which is better?");
  goOn(turn, answers[0]);
  actions.append(note);
  const labels = { a: "A is better", b: "B is better", tie: "Both are good", both_bad: "Both are bad" };
  const buttons = Object.entries(labels).map(([choice, label]) => button(actions, label, async (element) => {
    buttons.forEach((each) => { each.disabled = true; });
    try {
      const said = promises();
      await keep(choice, said);
      element.setAttribute("aria-pressed", "true");
      note.textContent = thanks(said.consent);
      const better = answers[choice === "b" ? 1 : 0];
      if (choice === "a" || choice === "b") better.card.classList.add("chosen");
      goOn(turn, better);
    } catch (error) {
      buttons.forEach((each) => { each.disabled = false; });
      note.textContent = "Not stored: " + error.message;
    }
  }));
}

async function showRatings() {
  const found = await (await call("api/arena/ratings")).json();
  const box = $("ratings");
  box.replaceChildren();
  make("h2", box, "", "Arena: " + found.matches + " choices");
  if (!found.ratings.length) return;
  const table = make("table", box);
  const head = make("tr", table);
  for (const name of ["Model", "Rating", "95% interval", "Choices"]) make("th", head, "", name);
  for (const row of found.ratings) {
    const cells = make("tr", table);
    make("td", cells, "", row.name);
    make("td", cells, "", row.rating.toFixed(0));
    make("td", cells, "", row.low.toFixed(0) + " to " + row.high.toFixed(0));
    make("td", cells, "", String(row.matches));
  }
  make("p", box, "quiet", found.verdict);
}

async function start() {
  try {
    about = await (await call("api/about")).json();
  } catch (error) {
    const key = error.message.startsWith("an API key");
    log.replaceChildren();
    make("p", log, "error", key ? "This server asks for an API key: enter it above." : error.message).setAttribute("role", "alert");
    $("settings").hidden = false;
    if (key) $("key").focus();
    return;
  }
  $("models").replaceChildren();
  for (const model of about.models) make("option", $("models"), "", model.id).value = model.id;
  $("model").textContent = about.models.map((model) => model.id).join(" and ") + (about.tools.length ? " · tools: " + about.tools.join(", ") : "");
  $("max-tokens").max = $("max-tokens").value = about.max_tokens;
  log.replaceChildren();
  $("sampled").hidden = !about.sampled;
  $("sampled").textContent = Number((100 * about.sampled).toPrecision(2)) + "% of the answers are kept with their conversations, to look for faults. E-mail addresses, phone and card numbers are masked, and no model is trained on them.";
  $("mode").querySelector("[value=arena]").disabled = !about.arena;
  if (about.arena) { // what a server with two models is for
    $("mode").value = "arena";
    $("mode").dispatchEvent(new Event("change"));
  }
}

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (running || !text.trim()) return;
  if (!about) await start();
  if (!about) return;
  $("text").value = "";
  await ask(text);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("ask").requestSubmit(); }
});
$("key").addEventListener("change", () => { if (!about) start(); });
$("stop").addEventListener("click", () => running?.abort());
$("new").addEventListener("click", () => { running?.abort(); messages = []; log.replaceChildren(); $("text").focus(); });
$("show-settings").addEventListener("click", () => {
  $("settings").hidden = !$("settings").hidden;
  $("show-settings").setAttribute("aria-expanded", String(!$("settings").hidden));
});
$("mode").addEventListener("change", async () => {
  $("ratings").hidden = $("mode").value !== "arena";
  if ($("mode").value === "arena") await showRatings().catch(() => {});
});
start();
