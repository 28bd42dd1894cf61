import { createSeededRandom } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createRateEstimate } from './rate.ts'
import { observe } from './sample.ts'

/** A probe every 500 ms over a path of 2 ms and some jitter, the server's clock being faster by `ppm`. */
function feed(ppm: number, jitterMs: number, forMs: number) {
  const random = createSeededRandom(7)
  const estimate = createRateEstimate()
  for (let atMs = 0; atMs < forMs; atMs += 500) {
    const [there, back] = [1 + random() * jitterMs, 1 + random() * jitterMs]
    const server = (atMs + there) * (1 + ppm * 1e-6)
    estimate.add(observe({ sentMs: atMs, receivedMs: server, answeredMs: server, gotMs: atMs + there + back }))
  }
  return estimate.read()
}

test.each([50, -200, 290])('TME6: %i ppm are found within a minute', (ppm) => {
  const { rate, doubt, lowest, highest } = feed(ppm, 1, 60_000)
  expect(Math.abs(rate * 1e6 - ppm)).toBeLessThan(10)
  expect(doubt).toBeLessThan(90e-6)
  expect(lowest * 1e6).toBeLessThanOrEqual(ppm)
  expect(highest * 1e6).toBeGreaterThanOrEqual(ppm)
})

test('TME6: noise is no rate, and one that the bounds rule out is not taken', () => {
  expect(feed(50, 80, 20_000)).toMatchObject({ rate: 0, doubt: 200e-6 })
  const { rate } = feed(900, 1, 60_000)
  expect(Math.abs(rate)).toBeLessThanOrEqual(300e-6)
})
