import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { hardcodedSecret } from './hardcoded-secret.ts'

const KEY = 'q8Zr2Lw9sT4vXe71'

test.each([
  ['.env', `PORT=80\nSIGNING_KEY=${KEY}\n`, ['strong 2']],
  ['api/.env.production', `DB_PASSWORD='${KEY}'\n`, ['strong 1']],
  ['.env', 'DB_PASSWORD=postgres\n', ['strong 1']],
  ['.env.example', `SIGNING_KEY=${KEY}\n`, []],
  ['.env.local', `SIGNING_KEY=${KEY}\n`, []],
  ['tests/.env', `SIGNING_KEY=${KEY}\n`, []],
  ['.env', 'SIGNING_KEY=changethis\n', []],
  ['.env', 'SIGNING_KEY=your-key-here\n', []],
  ['.env', 'SIGNING_KEY=\n', []],
  ['.env', `VITE_API_TOKEN=${KEY}\n`, []],
  ['.env', `SIGNING_KEY=${'$'}{OTHER_KEY}\n`, []],
])('QR17: %s with %j has %j', (file, text, expected) => {
  expect(foundIn(hardcodedSecret, { [file]: text })).toEqual(expected)
})
