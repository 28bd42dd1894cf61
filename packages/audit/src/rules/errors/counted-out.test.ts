import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { errorLeak } from './error-leak.ts'
import { guardCannotFire } from './guard-cannot-fire.ts'

function loop(head: string, body: string): string {
  return `def send(parcel, most):\n    tries = 0\n    ${head}\n        try:\n            return post(parcel)\n        except OSError:\n${body}`
}

test.each([
  [
    'while tries < most:',
    '            if tries == most:\n                raise\n            tries += 1\n',
    ['strong 7'],
  ],
  ['while tries < 5:', '            if tries >= 5:\n                raise\n            tries += 1\n', ['strong 7']],
  ['for tries in range(most):', '            if tries == most:\n                raise\n', ['strong 7']],
  ['while tries < most:', '            tries += 1\n            if tries == most:\n                raise\n', []],
  ['while tries < most:', '            if tries == most - 1:\n                raise\n            tries += 1\n', []],
  ['for tries in range(1, most):', '            if tries == most:\n                raise\n', []],
  ['for tries in range(most):', '            if tries == most:\n                pass\n', []],
  ['while tries <= most:', '            if tries == most:\n                raise\n            tries += 1\n', []],
  [
    'while tries < most:',
    '            for tries in parcel:\n                if tries == most:\n                    raise\n',
    [],
  ],
])('QR9: %j with %j has %j', (head, body, expected) => {
  expect(foundIn(guardCannotFire, { 'src/a.py': loop(head, body) })).toEqual(expected)
})

test.each([
  ['(httpx.RequestError, httpx.TimeoutException)', ['strong 7']],
  ['OrderRefused', []],
])('QR13: the text of %j has %j', (kind, expected) => {
  const text = `import httpx\n\nasync def hand_on(request):\n    try:\n        return await httpx.AsyncClient().get(request.url)\n    except ${kind} as error:\n        raise HTTPException(status_code=503, detail=f"away: {str(error)}")\n`
  expect(foundIn(errorLeak, { 'src/a.py': text })).toEqual(expected)
})
