// What moves on the page: filters, the blast radius of a component that is pointed at, and everything open on paper. It reads attributes of the page and writes
// classes and `hidden`: no text becomes markup. Without it the page says the same.

export const SCRIPT = `
(() => {
  const all = [...document.querySelectorAll('details.finding')]
  const fields = [...document.querySelectorAll('.filters [data-by]')]
  const count = document.getElementById('count')
  const apply = () => {
    let shown = 0
    for (const one of all) {
      const fits = fields.every((field) => {
        const wanted = field.value.trim().toLowerCase()
        if (wanted === '') return true
        return field.dataset.by === 'text' ? one.textContent.toLowerCase().includes(wanted) : one.dataset[field.dataset.by] === field.value
      })
      one.hidden = !fits
      if (fits) shown++
    }
    if (count) count.textContent = shown + ' of ' + all.length + ' shown'
  }
  for (const field of fields) field.addEventListener('input', apply)
  apply()
  const nodes = [...document.querySelectorAll('.graph g.node')]
  const radius = document.getElementById('radius')
  const clear = () => {
    for (const node of nodes) node.classList.remove('down', 'source')
  }
  const show = (node) => {
    clear()
    node.classList.add('source')
    const down = (node.dataset.down ?? '').split(' ').filter((index) => index !== '')
    for (const index of down) nodes[Number(index)]?.classList.add('down')
    if (radius) radius.textContent = node.getAttribute('aria-label') ?? ''
  }
  for (const node of nodes) {
    node.addEventListener('pointerenter', () => show(node))
    node.addEventListener('focus', () => show(node))
    node.addEventListener('pointerleave', clear)
    node.addEventListener('blur', clear)
  }
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
  addEventListener('beforeprint', () => {
    for (const one of all) one.open = true
  })
})()
`
