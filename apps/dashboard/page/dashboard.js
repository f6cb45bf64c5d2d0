// The dashboard: Connect as JSON, nothing else. Whatever a customer wrote gets into the page as
// text only (textContent), never as markup.
const refreshMs = 2000;
/** Costs move slowly and are dear to sum up: asked for at every fifth refresh. */
const costsEvery = 5;
const keptLogCharacters = 100_000;
const keyName = 'ingot-key';
const $ = (id) => document.getElementById(id);
let following = null;

const headers = (type) => ({
  'content-type': type,
  'connect-protocol-version': '1',
  authorization: `Bearer ${sessionStorage.getItem(keyName)}`,
});

async function call(method, request = {}) {
  const response = await fetch(`/ingot.gateway.v1.${method}`, {
    method: 'POST',
    headers: headers('application/json'),
    body: JSON.stringify(request),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.message), { code: answer.code });
  return answer;
}

/** One message in Connect's envelope: a byte of flags, four of length, then the JSON. */
function envelope(message) {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const bytes = new Uint8Array(5 + json.length);
  new DataView(bytes.buffer).setUint32(1, json.length);
  bytes.set(json, 5);
  return bytes;
}

async function* stream(method, request, signal) {
  const response = await fetch(`/ingot.gateway.v1.${method}`, {
    method: 'POST',
    headers: headers('application/connect+json'),
    body: envelope(request),
    signal,
  });
  const reader = response.body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    rest = bytes;
    while (rest.length >= 5) {
      const view = new DataView(rest.buffer, rest.byteOffset);
      const end = 5 + view.getUint32(1);
      if (rest.length < end) break;
      const message = JSON.parse(new TextDecoder().decode(rest.subarray(5, end)));
      const isLast = (rest[0] & 2) !== 0;
      rest = rest.slice(end);
      if (!isLast) yield message;
      else if (message.error) throw new Error(message.error.message);
    }
  }
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text ?? '';
  return made;
}

function card(deployment, costs) {
  const { spec, failure } = deployment;
  const state = (deployment.state ?? '').replace('DEPLOYMENT_STATE_', '').toLowerCase();
  const link = element('a', '', deployment.url);
  if (/^https?:\/\//.test(deployment.url)) link.href = deployment.url;
  link.rel = 'noreferrer';
  const title = element('h2', '', `${spec.name} `);
  title.append(link);
  const log = element('button', '', 'Log');
  log.addEventListener('click', () => void follow(spec.name));
  const made = document.createElement('article');
  made.append(
    element('span', `state ${state}`, state),
    title,
    element('span', 'cost', costs ? dollars(costs.get(spec.name) ?? 0n) : '–'),
    log,
    element('p', 'image', `${spec.image} · revision ${deployment.revision ?? 0}`),
  );
  if (failure) {
    const exit = failure.exitCode === undefined ? '' : ` (exit code ${failure.exitCode})`;
    made.append(element('p', 'failure', `${failure.step}: ${failure.message}${exit}`));
    if (failure.remedy) made.append(element('p', 'image', failure.remedy));
  }
  if (deployment.billingDegraded) {
    made.append(element('p', 'warning', 'Billing does not answer: usage is kept on the host.'));
  }
  return made;
}

/** From 10^-9 dollars, exact. */
function dollars(nanos) {
  const digits = nanos.toString().padStart(10, '0');
  return `$${digits.slice(0, -9)}.${digits.slice(-9, -3)} this month`;
}

async function listAll() {
  const all = [];
  let pageToken = '';
  do {
    const page = await call('DeployService/List', { pageToken });
    all.push(...(page.deployments ?? []));
    pageToken = page.nextPageToken ?? '';
  } while (pageToken);
  return all;
}

/** Costs this month by name; null while billing is away. */
async function listCosts() {
  try {
    const costs = new Map();
    const { deployments = [] } = await call('UsageService/GetUsage');
    for (const { name, usage } of deployments) {
      costs.set(name, (costs.get(name) ?? 0n) + BigInt(usage?.costNanos ?? 0));
    }
    return costs;
  } catch (error) {
    if (error.code === 'unauthenticated') throw error;
    return null;
  }
}

let shown = '';
let costs = null;
let refreshes = 0;

async function refresh() {
  const deployments = await listAll();
  if (refreshes++ % costsEvery === 0) costs = await listCosts();
  const fresh = JSON.stringify([deployments, costs && [...costs].map(String)]);
  // Redrawing what has not changed would take the focus away.
  if (fresh === shown) return;
  shown = fresh;
  $('deployments').replaceChildren(...deployments.map((deployment) => card(deployment, costs)));
  const ready = deployments.filter(({ state }) => state === 'DEPLOYMENT_STATE_READY').length;
  const billing = costs ? '' : ' · billing does not answer';
  $('summary').textContent = deployments.length
    ? `${ready} of ${deployments.length} ready${billing}`
    : 'Nothing is deployed yet: ingot deploy --name hello --image …';
}

async function follow(name) {
  following?.abort();
  const mine = new AbortController();
  following = mine;
  $('log').hidden = false;
  $('log-name').textContent = name;
  const text = $('log-text');
  text.textContent = '';
  const decoder = new TextDecoder();
  const show = (line) => {
    const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
    text.textContent = (text.textContent + line).slice(-keptLogCharacters);
    if (atEnd) text.scrollTop = text.scrollHeight;
  };
  try {
    const request = { name, follow: true, tailLines: 200 };
    for await (const { data = '' } of stream('DeployService/StreamLogs', request, mine.signal)) {
      const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
      show(decoder.decode(bytes, { stream: true }));
    }
    show('\n(the log ends here)\n');
  } catch (error) {
    if (!mine.signal.aborted) show(`\n(${error.message})\n`);
  }
}

function askForKey(refusal = '') {
  sessionStorage.removeItem(keyName);
  following?.abort();
  $('log').hidden = true;
  $('deployments').replaceChildren();
  $('summary').textContent = '';
  shown = '';
  refreshes = 0;
  $('refusal').textContent = refusal;
  $('leave').hidden = true;
  $('enter').hidden = false;
  $('key').focus();
}

async function run() {
  const key = sessionStorage.getItem(keyName);
  // With another key, or none, another run takes over.
  if (!key) return;
  while (sessionStorage.getItem(keyName) === key) {
    try {
      await refresh();
      $('enter').hidden = true;
      $('leave').hidden = false;
    } catch (error) {
      if (error.code === 'unauthenticated') return askForKey(error.message);
      shown = '';
      $('summary').textContent = `The gateway does not answer: ${error.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, refreshMs));
  }
}

$('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(keyName, $('key').value.trim());
  $('key').value = '';
  void run();
});
$('leave').addEventListener('click', () => askForKey());
$('log-close').addEventListener('click', () => {
  following?.abort();
  $('log').hidden = true;
});
if (sessionStorage.getItem(keyName)) void run();
else askForKey();
