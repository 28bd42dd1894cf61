// What is known, on the screen. Draws only what has changed: sixty times a second most of it has not.

const LOW_MS = 20_000
const shown = new Map()

/** 1:02:03, 4:05, and below twenty seconds 9.8 with tenths. Rounded up: 0.0 is shown when it is over, not before. */
export function timeText(ms) {
  if (ms < LOW_MS) {
    const tenths = Math.ceil(Math.max(0, ms) / 100)
    return `${Math.floor(tenths / 10)}.${tenths % 10}`
  }
  const all = Math.ceil(ms / 1_000)
  const [hours, minutes, seconds] = [Math.floor(all / 3_600), Math.floor(all / 60) % 60, all % 60]
  const tail = `${String(seconds).padStart(2, '0')}`
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`
}

/** 0.4 s, 12.3 s, 4:05. */
export function spanText(ms) {
  const sign = ms < 0 ? '−' : ''
  const size = Math.abs(ms)
  return sign + (size < 60_000 ? `${(size / 1_000).toFixed(size < 10_000 ? 2 : 1)} s` : timeText(size))
}

/** `view`: see viewOf in game.js. */
export function draw(view) {
  for (const [place, side] of view.sides.entries()) drawSide(view, place, side)
  text('#what', whatText(view))
  pill('#link', ...linkPill(view))
  pill('#level', ...levelPill(view))
  pill('#error-bar', view.uncertaintyMs === undefined ? '' : `± ${view.uncertaintyMs.toFixed(1)} ms`, '')
  pill('#watching', view.watching > 0 ? `${view.watching} watching` : '', '')
  const isOver = ['expired', 'completed', 'cancelled'].includes(view.status)
  text('#pause', view.status === 'paused' ? 'Resume' : 'Pause')
  hidden('#pause', view.seat === 'watch' || !['running', 'paused'].includes(view.status))
  hidden('#end', view.seat === 'watch' || isOver || view.status === undefined)
  hidden('#explain', view.status === undefined || view.status === 'pending')
  set('body', 'link', view.link, (node) => {
    node.dataset.link = view.link
  })
}

function drawSide(view, place, { leftMs, startMs, turns, usedMs, hasExpired, isThere }) {
  const selector = `.side[data-place="${place}"]`
  const isActive = view.active === place && view.status === 'running'
  const isMine = view.place === place
  const kind = [
    isActive && 'active',
    isActive && leftMs < LOW_MS && 'low',
    !isActive && view.status === 'running' && 'resting',
    hasExpired && 'fallen',
    isMine && 'mine',
  ]
  set(selector, 'class', ['side', ...kind.filter(Boolean)].join(' '), (node, value) => {
    node.className = value
  })
  const mayTap = view.status === 'pending' ? view.seat !== 'watch' : isMine && isActive
  set(selector, 'disabled', !mayTap, (node, value) => {
    node.disabled = value
  })
  const [whole, tenth] = leftMs === undefined ? ['–:––'] : timeText(leftMs).split('.')
  set(`${selector} .time`, 'text', `${whole}.${tenth}`, (node) => {
    node.replaceChildren(whole)
    if (tenth !== undefined) node.append(Object.assign(document.createElement('small'), { textContent: `.${tenth}` }))
  })
  text(`${selector} .note`, sideNote(view, { isActive, isMine, hasExpired, turns, usedMs }))
  set(`${selector} .there`, 'class', isThere ? 'there is' : 'there', (node, value) => {
    node.className = value
  })
  const share = startMs > 0 ? Math.min(1, leftMs / startMs) : 0
  set(`${selector} .left i`, 'share', share.toFixed(3), (node, value) => {
    node.style.transform = `scaleX(${value})`
  })
}

function sideNote(view, { isActive, isMine, hasExpired, turns, usedMs }) {
  if (hasExpired) return '⚑ the flag has fallen'
  if (view.status === 'pending') return view.seat === 'watch' ? '' : 'tap to start White’s clock'
  if (isActive && isMine) return view.pending > 0 ? 'your move is on its way' : 'your turn: tap when you have moved'
  return turns === 0 ? '' : `${turns} ${turns === 1 ? 'move' : 'moves'} in ${spanText(usedMs)}`
}

function whatText({ status, active, sides, place, link, awayMs }) {
  const names = ['White', 'Black']
  switch (status) {
    case undefined:
      return link === 'refused' ? 'This seat is not yours any more.' : 'Connecting …'
    case 'pending':
      return 'Not started'
    case 'running':
      if (link === 'away') return `No contact for ${(awayMs / 1_000).toFixed(1)} s`
      return active === place ? 'Your turn' : `${names[active]} is thinking`
    case 'paused':
      return 'Paused'
    case 'expired':
      return `${names[sides[0].hasExpired ? 1 : 0]} wins on time`
    case 'completed':
      return 'The game is over'
    default:
      return 'Cancelled'
  }
}

function linkPill({ link }) {
  if (link === 'live') return ['live', 'good']
  if (link === 'refused') return ['refused', 'bad']
  if (link === 'connecting') return ['connecting', 'wait']
  return ['away, the clock goes on', 'bad']
}

/** What the last change rests on, and what is still on its way. */
function levelPill({ pending, level }) {
  if (pending > 0) return [pending === 1 ? '1 move on its way' : `${pending} moves on their way`, 'wait']
  if (level === 'durable') return ['on disk', 'good']
  return level === undefined ? ['', ''] : ['accepted', 'good']
}

function pill(selector, value, kind) {
  text(selector, value)
  set(selector, 'class', `pill ${kind}`, (node, name) => {
    node.className = name
  })
  hidden(selector, value === '')
}

function text(selector, value) {
  set(selector, 'text', value, (node) => {
    node.textContent = value
  })
}

function hidden(selector, value) {
  set(selector, 'hidden', value, (node) => {
    node.hidden = value
  })
}

function set(selector, what, value, change) {
  const key = `${selector} ${what}`
  if (shown.get(key) === value) return
  shown.set(key, value)
  change(document.querySelector(selector), value)
}
