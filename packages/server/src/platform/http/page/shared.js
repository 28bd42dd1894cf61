// What the pages share. They read what everybody can read and write text only, never markup.

globalThis.ui = (() => {
  const ANSWER_WITHIN_MS = 10000
  const $ = (id) => document.getElementById(id)

  function fill(made, className, content) {
    if (className) made.setAttribute('class', className)
    made.append(...content.filter((part) => part !== undefined && part !== null))
    return made
  }
  /** An element; text is always text, never markup. */
  function el(tag, className, ...content) {
    return fill(document.createElement(tag), className, content)
  }
  function svg(tag, attributes, ...content) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
    for (const name in attributes) made.setAttribute(name, attributes[name])
    return fill(made, '', content)
  }

  function span(ms) {
    if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
    if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`
    if (ms < 3600000) return `${Math.round(ms / 60000)} min`
    return ms < 172800000 ? `${Math.round(ms / 3600000)} h` : `${Math.round(ms / 86400000)} d`
  }

  /** What stands beside the name, and in the tab. */
  function setState(className, text) {
    $('state').className = `pill ${className}`
    $('state').textContent = text
    document.title = `${className === 'up' ? '' : `${text} · `}${document.title.split(' · ').at(-1)}`
  }

  /** One reading at a time, however often it is asked for. */
  function single(read) {
    let reading
    return () => {
      reading =
        reading ||
        read().finally(() => {
          reading = undefined
        })
      return reading
    }
  }

  /** fetch that gives up: `single` waits for the reading before, so one whose answer never comes would be the last. */
  function ask(path, init) {
    return fetch(path, { ...init, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })
  }

  /** fetch, because EventSource can't send a key. Comes back by itself, and misses nothing. Gives what ends it. */
  function follow({ path, headers, hear, refused, lost }) {
    const ending = new AbortController()
    let lastId
    async function listen() {
      const resume = lastId ? { 'last-event-id': lastId } : {}
      const response = await fetch(path, { headers: { ...headers(), ...resume }, signal: ending.signal })
      if (response.status === 401 || response.status === 403) {
        ending.abort()
        return refused()
      }
      if (!response.ok) throw new Error(`the mesh answered ${response.status}`)
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ''
      for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
        const parts = (rest + value).split('\n\n')
        rest = parts.pop()
        for (const part of parts) {
          const field = (name) =>
            (part.split('\n').find((line) => line.startsWith(`${name}: `)) || '').slice(name.length + 2)
          if (field('id')) lastId = field('id')
          if (field('event')) hear(field('event'), JSON.parse(field('data')))
        }
      }
    }
    async function run() {
      while (!ending.signal.aborted) {
        await listen().catch((error) => ending.signal.aborted || lost(error))
        await new Promise((resolve) => setTimeout(resolve, 1000))
      }
    }
    run()
    return () => ending.abort()
  }

  return { $, el, svg, span, setState, single, ask, follow }
})()
