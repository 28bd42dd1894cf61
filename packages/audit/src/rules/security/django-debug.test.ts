import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { debugInProduction } from './debug-in-production.ts'

const APPS = 'INSTALLED_APPS = ["shop"]\n'
const GUNICORN = 'FROM python:3.12\nCMD ["gunicorn", "shop.wsgi"]\n'

test.each([
  [{ 'shop/settings.py': `DEBUG = True\n${APPS}`, Dockerfile: GUNICORN }, ['strong shop/settings.py:1']],
  [{ 'shop/settings.py': `import os\n\nDEBUG = True\n${APPS}`, Dockerfile: GUNICORN }, ['strong shop/settings.py:3']],
  [{ 'shop/settings.py': `DEBUG = False\n${APPS}`, Dockerfile: GUNICORN }, []],
  [{ 'shop/settings.py': `DEBUG = env("DEBUG")\n${APPS}`, Dockerfile: GUNICORN }, []],
  [{ 'shop/settings.py': `DEBUG = True\n${APPS}from .local import *\n`, Dockerfile: GUNICORN }, []],
  [{ 'shop/settings/dev.py': `DEBUG = True\n${APPS}`, Dockerfile: GUNICORN }, []],
  [
    {
      'shop/settings/base.py': `DEBUG = True\n${APPS}`,
      'shop/settings/live.py': 'DEBUG = False\n',
      Dockerfile: GUNICORN,
    },
    [],
  ],
  [{ 'shop/settings.py': `DEBUG = True\n${APPS}`, Dockerfile: 'FROM python:3.12\n' }, []],
])('QR15: %j has %j', (texts, expected) => {
  expect(foundIn(debugInProduction, texts)).toEqual(expected)
})
