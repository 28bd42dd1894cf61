// The webhooks page: endpoints and how they are, deliveries as they happen, what was given up, and why.

const { $, el, span, setState, single, follow } = globalThis.ui
const { api, action, keepFocus, named, plainButton, say, typeOf } = globalThis.mesh
const CARDS_MAX = 60
const ROWS_MAX = 200
const SEEN_MAX = 5000
const PAGE = 200
const COUNTED_AT_ONCE = 6
const DRAW_EVERY_MS = 250
const REFRESH_EVERY_MS = 2000
const endpoints = new Map()
const waiting = new Map() // endpoint -> how many, in the order of asking
const seen = new Set() // attempts: the stream begins a few seconds back after a break
let hasMore = false
let unfollow
let onlyEndpoint
let deliveries // newest first; undefined: not read yet
let arrived = [] // not drawn yet
let skipped = 0
let isStale = false
let openedBy // which row, to give the focus back

const refresh = single(async () => {
  try {
    const [found, dead] = await Promise.all([
      api('GET', `/v1/endpoints?limit=${PAGE}`),
      api('GET', '/v1/dead-letters?limit=100'),
    ])
    endpoints.clear()
    for (const endpoint of found.data) endpoints.set(endpoint.endpoint_id, endpoint)
    hasMore = found.next_cursor !== null
    $('login').hidden = true
    $('live').hidden = false
    drawEndpoints()
    drawDead(dead.data, dead.next_cursor !== null)
    countWaiting()
    if (!deliveries) await readDeliveries()
    unfollow ??= listen()
  } catch (error) {
    if (error.isLocked) lock()
    else setState('down', 'not reachable')
  }
})

function lock() {
  unfollow?.()
  unfollow = undefined
  deliveries = undefined
  $('login').hidden = false
  $('live').hidden = true
  $('login').querySelector('label').textContent = globalThis.mesh.hasKey()
    ? 'That key was refused: it needs webhooks:read'
    : 'This mesh asks for an API key with webhooks:read'
  setState('idle', 'locked')
}

function listen() {
  return follow({
    path: '/v1/deliveries/stream',
    headers: globalThis.mesh.headers,
    hear: (name, attempt) => {
      if (name !== 'attempt' || !isNew(attempt)) return
      arrived.push(attempt)
      if (arrived.length <= ROWS_MAX) return
      arrived.shift()
      skipped++
    },
    refused: lock,
    lost: () => setState('down', 'not reachable'),
  })
}

function isNew({ attempt_id: id }) {
  if (seen.has(id)) return false
  seen.add(id)
  if (seen.size > SEEN_MAX) seen.delete(seen.values().next().value)
  return true
}

// Endpoints

/** How it is in one word and a colour; the worst comes first. */
function healthOf(endpoint) {
  if (endpoint.state === 'gone') return { rank: 0, className: 'down', word: 'gone' }
  if (endpoint.state === 'paused') return { rank: 1, className: 'connecting', word: 'paused' }
  if (endpoint.health.failing_since) return { rank: 2, className: 'down', word: 'failing' }
  if (endpoint.backlog_full) return { rank: 3, className: 'degraded', word: 'full' }
  if (endpoint.health.last_success_at) return { rank: 5, className: 'up', word: 'delivers' }
  return { rank: 4, className: 'idle', word: 'nothing sent yet' }
}

function nameOf(endpoint) {
  if (!endpoint) return undefined
  return endpoint.description || new URL(endpoint.url).host
}

function drawEndpoints() {
  const all = [...endpoints.values()].map((endpoint) => ({ endpoint, health: healthOf(endpoint) }))
  const bad = all.filter(({ health }) => health.rank < 4)
  if (all.length === 0) setState('idle', 'no endpoints')
  else if (bad.length === 0)
    setState('up', all.length === 1 ? 'the endpoint is well' : `all ${all.length} endpoints are well`)
  else
    setState(
      bad.some(({ health }) => health.className === 'down') ? 'down' : 'degraded',
      `${bad.length} of ${all.length} need a look`,
    )
  const words = $('find').value.trim().toLowerCase()
  const fits = ({ endpoint, health }) =>
    [endpoint.url, endpoint.description, endpoint.owner, endpoint.endpoint_id, health.word, ...endpoint.event_types]
      .join(' ')
      .toLowerCase()
      .includes(words)
  const found = all.filter(fits).sort((a, b) => a.health.rank - b.health.rank)
  keepFocus($('endpoints'), found.slice(0, CARDS_MAX).map(card))
  if (found.length === 0)
    $('endpoints').append(
      el(
        'div',
        'empty',
        words ? 'No endpoint fits.' : 'No endpoints yet: ripstop webhooks endpoints create URL --type order.*',
      ),
    )
  $('more').hidden = found.length <= CARDS_MAX && !hasMore
  $('more').textContent =
    `${CARDS_MAX} of ${hasMore ? 'more than ' : ''}${found.length} are shown, those in trouble first.`
}

function card({ endpoint, health }) {
  const { endpoint_id: id, state } = endpoint
  const target = el('div', 'target', endpoint.url)
  target.title = `${endpoint.url}\n${id}`
  const made = el(
    'article',
    `card ${health.className}`,
    el('div', 'top', el('span', 'name', nameOf(endpoint)), el('span', `pill ${health.className}`, health.word)),
    target,
    endpoint.state_reason && state !== 'active' ? el('p', 'why', endpoint.state_reason) : null,
    facts(endpoint),
    chips(endpoint),
    el('div', 'does', ...buttons(endpoint)),
  )
  made.dataset.id = id
  return made
}

function facts(endpoint) {
  const fact = (name, value, className) => el('div', '', el('dt', '', name), el('dd', className || '', value))
  const { last_success_at: success, failing_since: failing } = endpoint.health
  return el(
    'dl',
    'facts',
    fact('waiting', waiting.get(endpoint.endpoint_id) ?? '…', endpoint.backlog_full ? 'hot' : ''),
    fact('last success', ago(success)),
    fact('failing since', failing ? ago(failing) : '–', failing ? 'hot' : ''),
  )
}
function ago(at) {
  if (!at) return 'never'
  const ms = Math.max(0, Date.now() - Date.parse(at))
  return ms < 60000 ? `${Math.round(ms / 1000)} s ago` : `${span(ms)} ago`
}

/** How many wait for each endpoint that is shown, as far as a page counts; a few are asked for at a time, in turn. */
const countWaiting = single(async () => {
  const ids = [...document.querySelectorAll('.card')].map((made) => made.dataset.id)
  const order = [...waiting.keys()] // the longest ago first; -1: never
  const next = ids.sort((a, b) => order.indexOf(a) - order.indexOf(b)).slice(0, COUNTED_AT_ONCE)
  await Promise.all(
    next.map(async (id) => {
      const query = `endpoint_id=${id}&outcome=waiting&limit=${PAGE}`
      const { data, next_cursor: more } = await api('GET', `/v1/deliveries?${query}`)
      waiting.delete(id) // its turn comes again after all others'
      waiting.set(id, more === null ? String(data.length) : `over ${PAGE}`)
    }),
  ).catch(() => {}) // the page says elsewhere that the mesh is away
})

function chips(endpoint) {
  const texts = [
    ...endpoint.event_types.slice(0, 4).map((type) => [type === '*' ? 'all types' : type, 'key']),
    endpoint.event_types.length > 4 && [`and ${endpoint.event_types.length - 4} more types`],
    endpoint.filter && ['filtered'],
    endpoint.ordering === 'key' && ['in order'],
    endpoint.rate_per_second && [`at most ${endpoint.rate_per_second}/s`],
    endpoint.is_hook && ['hook'],
    endpoint.filter_errors.count > 0 && [`${endpoint.filter_errors.count} filter errors`, 'hot'],
    endpoint.owner && endpoint.owner !== 'open' && [`of ${endpoint.owner}`], // open: made without a key
  ]
  return el('div', 'chips', ...texts.filter(Boolean).map(([text, className]) => el('span', className || '', text)))
}

function buttons({ endpoint_id: id, state }) {
  const to = (verb) => api('POST', `/v1/endpoints/${id}/${verb}`, {})
  const change =
    state === 'active'
      ? action('Pause', { run: () => to('pause'), done: 'Paused: what is meant for it waits.', after: refresh })
      : action('Resume', { run: () => to('resume'), done: 'It is sent to again.', after: refresh })
  return [
    named(change, `change ${id}`),
    named(
      plainButton('Deliveries', () => showOnly(id)),
      `look ${id}`,
    ),
  ]
}
// Deliveries

async function readDeliveries() {
  const query = onlyEndpoint ? `&endpoint_id=${onlyEndpoint}` : ''
  const { data } = await api('GET', `/v1/deliveries?limit=50${query}`)
  for (const attempt of data) isNew(attempt)
  deliveries = data
  arrived = []
  drawDeliveries()
}

function showOnly(id) {
  onlyEndpoint = id
  const everything = plainButton('Show all', () => showOnly(undefined))
  $('only').hidden = !id
  $('only').replaceChildren(...(id ? [`to ${nameOf(endpoints.get(id)) ?? id}`, everything] : []))
  if (id) $('deliveries-head').scrollIntoView({ block: 'start', behavior: 'smooth' })
  readDeliveries().catch((error) => say(error.message))
}

/** Many a second may come: they are drawn a few times a second, the newest of them. */
function drawArrived() {
  if (!deliveries || (arrived.length === 0 && !isStale)) return
  const fits = arrived.filter((attempt) => !onlyEndpoint || attempt.endpoint_id === onlyEndpoint)
  deliveries = [...fits.reverse(), ...deliveries].slice(0, ROWS_MAX)
  arrived = []
  drawDeliveries()
}
/** The type of an event has become known: it is drawn with what comes next. */
function known() {
  isStale = true
}

const COLOURS = { delivered: 'up', failed: 'down', unknown: 'degraded', parked: 'connecting', waiting: 'idle' }

function drawDeliveries() {
  isStale = false
  const found = $('failures').checked ? deliveries.filter(({ outcome }) => outcome !== 'delivered') : deliveries
  const rows = found.map((attempt) => el('li', '', attemptRow(attempt)))
  keepFocus($('deliveries'), rows.length ? rows : [el('li', 'empty', 'Nothing to show yet.')])
  $('skipped').hidden = skipped === 0
  $('skipped').textContent = `${skipped.toLocaleString('en')} more went by too fast to be shown.`
}

function attemptRow(attempt) {
  const { delivery_id: id, endpoint_id: endpointId, outcome } = attempt
  return row(id, `${attempt.attempt_id ?? id}`, [
    ['at', clock(attempt.at ?? attempt.due_at)],
    [`outcome ${COLOURS[outcome] ?? ''}`, outcome],
    ['type', typeOf(attempt.event_id, known)],
    ['to', nameOf(endpoints.get(endpointId)) ?? endpointId],
    ['try', `#${attempt.attempt}`],
    ['answer', answerOf(attempt)],
    ['took', attempt.duration_ms == null ? '' : span(attempt.duration_ms)],
  ])
}

function row(deliveryId, id, cells) {
  const made = el('button', 'look', ...cells.map(([className, text]) => el('span', className, text)))
  made.type = 'button'
  made.addEventListener('click', () => {
    openedBy = id
    show(deliveryId)
  })
  for (const cell of made.children) if (cell.textContent.length > 12) cell.title = cell.textContent
  return named(made, id)
}

function answerOf({ status, code, reason, receipt, may_repeat: mayRepeat }) {
  return [status, code ?? reason, receipt, mayRepeat && 'may repeat'].filter(Boolean).join(' · ')
}
function clock(at) {
  return at ? new Date(at).toLocaleTimeString([], { hour12: false }) : ''
}

// Dead letters

function drawDead(dead, hasMore) {
  const rows = dead.map((letter) => {
    const { delivery_id: id, endpoint_id: endpointId } = letter
    const look = row(id, `dead ${id}`, [
      ['at', ago(letter.dead_at)],
      ['outcome down', letter.reason],
      ['type', typeOf(letter.event_id, known)],
      ['to', nameOf(endpoints.get(endpointId)) ?? endpointId],
      ['try', `×${letter.attempts_made}`],
      ['answer', [letter.status, letter.code].filter(Boolean).join(' · ')],
    ])
    return el('li', '', look, named(redrive(id), `redrive ${id}`))
  })
  keepFocus($('dead'), rows.length ? rows : [el('li', 'empty', 'None: nothing was given up.')])
  $('dead-head').textContent = dead.length
    ? `Dead letters: ${hasMore ? 'more than ' : ''}${dead.length}`
    : 'Dead letters'
  $('redrive-all').hidden = dead.length === 0
}

function redrive(id) {
  const run = async () => {
    await api('POST', `/v1/dead-letters/${id}/redrive`)
    $('detail').close()
  }
  return action('Redrive', { run, done: `Delivery ${id} is sent again.`, after: refresh })
}

/** The mesh does it, page by page; this looks on until it is done. */
async function redriveAll() {
  let { data: replay } = await api('POST', '/v1/dead-letters/redrive', {})
  while (replay.state === 'running') {
    say(`${replay.done.toLocaleString('en')} are sent again so far`)
    await new Promise((resolve) => setTimeout(resolve, 500))
    replay = (await api('GET', `/v1/replays/${replay.replay_id}`)).data
  }
}

// One delivery

async function show(id) {
  $('detail-head').textContent = `Delivery ${id}`
  $('detail-body').replaceChildren(el('p', 'because', 'Looking…'))
  if (!$('detail').open) $('detail').showModal()
  try {
    const [{ data: delivery }, { data: why }] = await Promise.all([
      api('GET', `/v1/deliveries/${id}`),
      api('GET', `/v1/deliveries/${id}/why`),
    ])
    drawDetail(delivery, why)
  } catch (error) {
    $('detail-body').replaceChildren(el('p', 'because', error.message))
  }
}

function drawDetail(delivery, why) {
  const { delivery_id: id, attempts } = delivery
  const endpoint = endpoints.get(delivery.endpoint_id)
  $('detail-body').replaceChildren(
    el('p', 'because', why.explanation),
    el('p', 'ids', `to ${endpoint ? endpoint.url : delivery.endpoint_id} · event ${delivery.event_id} · ${why.cause}`),
    delivery.state === 'dead' ? el('p', '', redrive(id)) : '',
    el('h3', '', attempts.length ? 'Attempts' : 'No attempt yet'),
    named(el('ul', '', ...attempts.map(attemptItem)), 'attempts'),
    why.facts.length ? el('h3', '', 'What that was read from') : '',
    el('ul', 'evidence', ...why.facts.map(factItem)),
  )
  $('detail-body').querySelector('[data-is="attempts"]').id = 'attempts'
}

function attemptItem(attempt) {
  const colour = COLOURS[attempt.outcome] ?? ''
  const next = attempt.due_at ? `next ${at(attempt.due_at)}` : ''
  const texts = [
    `#${attempt.attempt}`,
    at(attempt.at),
    answerOf(attempt),
    attempt.duration_ms == null ? '' : span(attempt.duration_ms),
    attempt.code ? attempt.reason : '',
    next,
  ]
  const line = el(
    'div',
    'line',
    el('em', colour, attempt.outcome),
    ...texts.filter(Boolean).map((text) => el('span', '', text)),
  )
  return el('li', 'item', line, attempt.response ? el('pre', '', attempt.response) : null)
}
function factItem({ at: when, what, evidence }) {
  const ids = Object.entries(evidence).map(([name, value]) => `${name} ${value}`)
  return el(
    'li',
    'item',
    el('time', '', when ? at(when) : 'now'),
    what,
    ids.length ? el('code', '', ids.join(' · ')) : null,
  )
}
function at(when) {
  return when ? new Date(when).toLocaleString([], { hour12: false }) : ''
}

$('close').addEventListener('click', () => $('detail').close())
$('detail').addEventListener('click', (event) => {
  if (event.target === $('detail')) $('detail').close() // beside it
})
$('detail').addEventListener('close', () => document.querySelector(`[data-is="${CSS.escape(openedBy)}"]`)?.focus())
const all = action('Redrive all', { sure: 'Really all?', run: redriveAll, done: 'All are sent again.', after: refresh })
$('redrive-all').replaceWith(Object.assign(all, { id: 'redrive-all', hidden: true }))
$('failures').addEventListener('change', drawDeliveries)
$('find').addEventListener('input', drawEndpoints)
$('login').addEventListener('submit', (event) => {
  event.preventDefault()
  globalThis.mesh.setKey($('key').value.trim())
  $('key').value = ''
  refresh()
})
refresh()
setInterval(() => {
  if (!$('live').hidden) refresh()
}, REFRESH_EVERY_MS)
setInterval(drawArrived, DRAW_EVERY_MS)
