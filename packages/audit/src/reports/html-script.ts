// What moves on the page: filters, the blast radius of a component that is pointed at or chosen, and everything open on paper. It reads attributes of the page and
// writes classes, `hidden` and text: no text becomes markup. Without it the page says the same.

export const SCRIPT = `
(() => {
  const all = [...document.querySelectorAll('details.finding')]
  const filters = document.querySelector('.filters')
  const fields = [...document.querySelectorAll('.filters [data-by]')]
  const count = document.getElementById('count')
  const texts = new Map(all.map((one) => [one, one.textContent.toLowerCase()]))
  const apply = () => {
    let shown = 0
    for (const one of all) {
      const fits = fields.every((field) => {
        if (field.value.trim() === '') return true
        return field.dataset.by === 'text' ? texts.get(one).includes(field.value.trim().toLowerCase()) : one.dataset[field.dataset.by] === field.value
      })
      one.hidden = !fits
      if (fits) shown++
    }
    if (count) count.textContent = shown + ' of ' + all.length + ' shown'
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
      const rest = names.length === 0 ? ' takes down nothing else that was seen.' : ' takes down ' + names.slice(0, 14).join(', ') + (names.length > 14 ? ' and ' + (names.length - 14) + ' more' : '') + ' (' + node.dataset.known + ').'
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
    for (const row of rows) row.classList.toggle('other', chosen !== undefined && !row.dataset.component.split('|').includes(name))
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
    const one = all.find(({ id }) => '#' + id === location.hash)
    if (one) {
      one.hidden = false
      one.open = true
      one.scrollIntoView()
    }
  }
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
