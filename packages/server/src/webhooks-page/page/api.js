// How the page asks the API, and how its buttons do. The API key that is typed in stays in memory: it is gone with the page.

globalThis.mesh = (() => {
  const { $, el, ask: askMesh } = globalThis.ui
  const TYPES_MAX = 2000
  const ASKING_MAX = 12
  let key = ''

  /** What the API says; throws its message. `isLocked`: a key is missing, or is not good enough to look. */
  async function api(method, path, body) {
    const more = method === 'GET' ? {} : { 'idempotency-key': newKey() }
    const json = body ? { 'content-type': 'application/json' } : {}
    const init = { method, headers: { ...headers(), ...more, ...json } }
    const response = await askMesh(path, body ? { ...init, body: JSON.stringify(body) } : init)
    const answer = await response.json()
    if (response.ok) return answer
    const error = new Error(answer.error?.message ?? `the mesh answered ${response.status}`)
    error.isLocked = response.status === 401 || (response.status === 403 && method === 'GET')
    throw error
  }
  const headers = () => (key ? { authorization: `Bearer ${key}` } : {})
  /** randomUUID is there on secure origins only. */
  const newKey = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')

  /** Tells how an action ended, for eyes and for screen readers; goes away by itself. */
  let silence
  function say(text) {
    $('said').textContent = text
    clearTimeout(silence)
    silence = setTimeout(() => {
      $('said').textContent = ''
    }, 6000)
  }

  function plainButton(label, act) {
    const made = el('button', 'quiet', label)
    made.type = 'button'
    made.addEventListener('click', act)
    return made
  }
  /** Replaces the content; the control that has the focus keeps it, if it is there again. */
  function keepFocus(parent, content) {
    const id = parent.contains(document.activeElement) ? document.activeElement.dataset.is : undefined
    parent.replaceChildren(...content)
    if (id) parent.querySelector(`[data-is="${CSS.escape(id)}"]`)?.focus()
  }
  function named(made, id) {
    made.dataset.is = id
    return made
  }

  /** A button that does something once at a time, and says how it ended. With `sure` it asks first. */
  function action(label, { sure, run, done, after }) {
    const made = plainButton(label, press)
    const ask = (isAsked) => {
      made.textContent = isAsked ? sure : label
      made.classList.toggle('sure', isAsked)
    }
    let state = 'idle'
    async function press() {
      if (state === 'running') return
      if (sure && state === 'idle') {
        state = 'asked'
        ask(true)
        setTimeout(() => {
          if (state !== 'asked') return
          state = 'idle'
          ask(false)
        }, 4000)
        return
      }
      state = 'running'
      ask(false)
      made.setAttribute('aria-disabled', 'true') // keeps the focus, as `disabled` would not
      await run().then(
        () => say(done),
        (error) => say(error.message),
      )
      state = 'idle'
      made.removeAttribute('aria-disabled')
      after?.()
    }
    return made
  }

  /** The types of events by id, asked for a few at a time; the id itself where it can't be read. */
  const types = new Map()
  let asking = 0
  function typeOf(eventId, known) {
    const type = types.get(eventId)
    if (type !== undefined || asking >= ASKING_MAX) return type ?? '…'
    if (types.size > TYPES_MAX) types.clear()
    types.set(eventId, '…')
    asking++
    api('GET', `/v1/events/${eventId}`)
      .then(({ data }) => {
        types.set(eventId, data.type)
      })
      .catch(() => types.set(eventId, eventId))
      .finally(() => {
        asking--
        known()
      })
    return '…'
  }

  return {
    api,
    headers,
    say,
    action,
    keepFocus,
    named,
    plainButton,
    typeOf,
    hasKey: () => key !== '',
    setKey: (typed) => {
      key = typed
    },
  }
})()
