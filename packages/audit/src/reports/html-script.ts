// What moves on the page: filters, the blast radius of a component that is pointed at or chosen, and everything open on paper. It reads attributes of the page and
// writes classes, `hidden` and text: no text becomes markup. Without it the page says the same.

export const SCRIPT = `
(() => {
  const all = [...document.querySelectorAll('details.finding')]
  const filters = document.querySelector('.filters')
  const fields = [...document.querySelectorAll('.filters [data-by]')]
  const count = document.getElementById('count')
  const none = document.getElementById('none')
  // Of a thousand findings reading all texts would delay the first sight: only who is searched is read.
  const texts = new Map()
  const textOf = (one) => {
    if (!texts.has(one)) texts.set(one, one.textContent.toLowerCase())
    return texts.get(one)
  }
  const apply = () => {
    let shown = 0
    for (const one of all) {
      const fits = fields.every((field) => {
        if (field.value.trim() === '') return true
        return field.dataset.by === 'text' ? textOf(one).includes(field.value.trim().toLowerCase()) : one.dataset[field.dataset.by] === field.value
      })
      one.hidden = !fits
      if (fits) shown++
    }
    if (count) count.textContent = shown + ' of ' + all.length + ' shown'
    if (none) none.hidden = shown > 0 || all.length === 0
  }
  if (filters) filters.hidden = false
  for (const field of fields) field.addEventListener('input', apply)
  apply()

  const nodes = [...document.querySelectorAll('.node, .chip')]
  const edges = [...document.querySelectorAll('path.edge')]
  const rows = [...document.querySelectorAll('tr[data-component]')]
  const byIndex = new Map(nodes.map((node) => [node.dataset.index, node]))
  const radius = document.getElementById('radius')
  const hint = radius?.textContent ?? ''
  let chosen
  const show = (node) => {
    const down = new Set((node?.dataset.down ?? '').split(' ').filter((index) => index !== ''))
    const reached = node === undefined ? down : new Set([...down, node.dataset.index])
    document.body.classList.toggle('pointed', node !== undefined)
    for (const one of nodes) {
      one.classList.toggle('source', one === node)
      one.classList.toggle('down', down.has(one.dataset.index))
    }
    for (const edge of edges)
      edge.classList.toggle('hot', reached.has(edge.dataset.to) && down.has(edge.dataset.from) && !edge.classList.contains('held') && !edge.classList.contains('soft'))
    if (!radius) return
    if (node === undefined) radius.textContent = hint
    else {
      const names = [...down].map((index) => byIndex.get(index)?.dataset.name).filter((name) => name !== undefined)
      const rest = names.length === 0 ? ' takes down nothing else that was seen.' : ' takes down ' + names.slice(0, 9).join(', ') + (names.length > 9 ? ' and ' + (names.length - 9) + ' more' : '') + ' (' + node.dataset.known + ').'
      radius.textContent = node.dataset.name + rest
    }
  }
  const choose = (node) => {
    chosen = chosen === node ? undefined : node
    for (const one of nodes) if (one.hasAttribute('aria-pressed')) one.setAttribute('aria-pressed', String(one === chosen))
    const field = fields.find((one) => one.dataset.by === 'component')
    const name = chosen?.dataset.name ?? ''
    const exists = field !== undefined && [...field.options].some((option) => option.value === name)
    if (field) field.value = exists ? name : ''
    for (const row of rows) {
      row.classList.toggle('other', chosen !== undefined && !row.dataset.component.split('|').includes(name))
      if (chosen !== undefined && !row.classList.contains('other')) row.closest('details')?.setAttribute('open', '')
    }
    apply()
    show(chosen)
  }
  for (const node of nodes) {
    node.addEventListener('pointerenter', () => show(node))
    node.addEventListener('focus', () => show(node))
    node.addEventListener('pointerleave', () => show(chosen))
    node.addEventListener('blur', () => show(chosen))
    node.addEventListener('click', () => choose(node))
    node.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && chosen !== undefined) choose(chosen)
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
      if (step) {
        event.preventDefault()
        nodes[(nodes.indexOf(node) + step + nodes.length) % nodes.length].focus()
      }
      if (node.tagName === 'BUTTON' || (event.key !== 'Enter' && event.key !== ' ')) return
      event.preventDefault()
      choose(node)
    })
  }
  document.getElementById('clear')?.addEventListener('click', () => {
    for (const field of fields) field.value = ''
    if (chosen !== undefined) choose(chosen)
    apply()
  })
  const reveal = () => {
    const one = [...document.querySelectorAll('details[id]')].find(({ id }) => '#' + id === location.hash)
    if (one) {
      one.hidden = false
      one.open = true
      one.scrollIntoView()
      one.querySelector('summary').focus({ preventScroll: true })
    }
  }
  addEventListener('keydown', (event) => {
    const search = fields.find((one) => one.dataset.by === 'text')
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return
    event.preventDefault()
    search?.focus()
  })
  addEventListener('hashchange', reveal)
  reveal()
  let closed = []
  addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')]
    for (const one of closed) one.open = true
  })
  addEventListener('afterprint', () => {
    for (const one of closed) one.open = false
  })
})()
`
