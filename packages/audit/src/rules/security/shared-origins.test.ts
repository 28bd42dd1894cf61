import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { corsPermissive } from './cors-permissive.ts'

const APP = `from starlette.middleware.cors import CORSMiddleware
from config import settings

app.add_middleware(CORSMiddleware, allow_origins=settings.ORIGINS)
`

function config(field: string, base = 'BaseSettings'): string {
  return `class Settings(${base}):\n    ${field}\n\nsettings = Settings()\n`
}

test.each([
  [config('ORIGINS: list = Field(["*"], env="ORIGINS")'), ['strong src/a.py:4']],
  [config('ORIGINS: list = ["*"]'), ['strong src/a.py:4']],
  [config('ORIGINS: list = Field(default=["*"])'), ['strong src/a.py:4']],
  [config('ORIGINS: list = ["https://shop.example"]'), []],
  [config('ORIGINS: list'), []],
  [config('ORIGINS: list = ["*"]', 'Base'), []],
])('QR8: origins of %j has %j', (text, expected) => {
  expect(foundIn(corsPermissive, { 'src/a.py': APP, 'src/config.py': text })).toEqual(expected)
})
