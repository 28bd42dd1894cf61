// Asks the arbiter for a game and shows its seats. A seat is a link: whoever has it sits there.

const form = document.querySelector('#times')
const seats = document.querySelector('#seats')
const trouble = document.querySelector('#trouble')

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const chosen = event.submitter
  const response = await fetch('/games', { method: 'POST', body: JSON.stringify({ time: chosen.value }) })
  trouble.hidden = response.ok
  if (!response.ok) {
    trouble.textContent = await response.text()
    return
  }
  const links = await response.json()
  for (const button of form.elements) button.classList.toggle('chosen', button === chosen)
  for (const link of seats.children) link.href = links[link.dataset.seat]
  seats.hidden = false
})
