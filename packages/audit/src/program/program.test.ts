import { describe, expect, it } from 'vitest'
import type { FileFacts } from '../facts/facts.ts'
import { readPython } from '../readers/python/index.ts'
import { readTypeScript } from '../readers/typescript/index.ts'
import { createProgram, type Program } from './index.ts'

function programOf(files: Readonly<Record<string, string>>): Program {
  const facts = Object.entries(files).map(([path, source]): [string, FileFacts] => [
    path,
    path.endsWith('.py') ? readPython(path, source) : readTypeScript(path, source),
  ])
  return createProgram(new Map(facts))
}

/** `file:function` that each call of a file means. */
function meanings(program: Program, path: string): (string | undefined)[] {
  const file = program.file(path)
  return (file?.facts.calls ?? []).map((call) => {
    const target = program.target({ file: path, call })
    return target && `${target.file}:${program.file(target.file)?.facts.blocks[target.block]?.name}`
  })
}

describe('the program', () => {
  const python = programOf({
    'svc/app/main.py':
      'from app.store import store, Store as S\nfrom .helpers import go as run\nimport app.deep.tools\nfrom . import helpers\n\ndef main():\n    run()\n    helpers.go()\n    app.deep.tools.fix()\n    store.save()\n    s = S(1)\n    s.load()\n    unknown()\n    s.missing()\n',
    'svc/app/__init__.py': '',
    'svc/app/helpers.py': 'def go():\n    pass\n',
    'svc/app/deep/__init__.py': '',
    'svc/app/deep/tools.py': 'def fix():\n    pass\n',
    'svc/app/store.py':
      'from .base import Base\n\nclass Store(Base):\n    def __init__(self, n):\n        self.n = n\n    def save(self):\n        self.load()\n\nstore = Store(1)\n',
    'svc/app/base.py': 'class Base:\n    def load(self):\n        pass\n',
  })

  it('JN1: knows what a call of Python means', () => {
    expect(meanings(python, 'svc/app/main.py')).toEqual([
      'svc/app/helpers.py:go',
      'svc/app/helpers.py:go',
      'svc/app/deep/tools.py:fix',
      'svc/app/store.py:save',
      'svc/app/store.py:__init__',
      'svc/app/base.py:load',
      undefined,
      undefined,
    ])
    const base = python.file('svc/app/base.py')
    const load = base?.methods(base.classes.get('Base') ?? -1).get('load') ?? -1
    expect(python.callers({ file: 'svc/app/base.py', block: load }).map(({ file }) => file)).toEqual([
      'svc/app/main.py',
      'svc/app/store.py',
    ])
  })

  it('QW1, JN1: knows what a package taken from another folder means, to those who take it', () => {
    const facts = Object.entries({
      'apps/a/main.py': 'from core.db import connect\nfrom core import Bus\nconnect()\nBus().send()\n',
      'apps/b/main.py': 'from core.db import connect\nconnect()\n',
      'libs/base/src/core/__init__.py': 'from .bus import Bus\n',
      'libs/base/src/core/bus.py': 'class Bus:\n    def send(self):\n        pass\n',
      'libs/base/src/core/db.py': 'def connect():\n    pass\n',
    }).map(([path, source]): [string, FileFacts] => [path, readPython(path, source)])
    const program = createProgram(new Map(facts), [
      { folder: 'apps/a', name: '*', targets: ['libs/base/*', 'libs/base/src/*'], language: 'python' },
    ])
    expect(meanings(program, 'apps/a/main.py').filter((each) => each !== undefined)).toEqual([
      'libs/base/src/core/db.py:connect',
    ])
    expect(program.classNamed('apps/a/main.py', { text: 'Bus', isOwn: false, root: 'import:core#Bus' })?.file).toBe(
      'libs/base/src/core/bus.py',
    )
    expect(meanings(program, 'apps/b/main.py')).toEqual([undefined])
  })

  it('JN1: knows what a module exports as one thing, in both ways of saying so', () => {
    const program = programOf({
      'a.ts':
        "import go from './go'\nimport Store from './store'\nimport { old } from './old'\nimport again from './again'\nconst all = require('./all')\ngo()\nconst s = new Store()\ns.save()\nold()\nagain()\nall()",
      'again.ts': "import go from './go'\nexport default go",
      'all.js': 'module.exports = start\nfunction start() {}',
      'go.ts': 'export default function run() {}',
      'old.js': 'exports.old = function () {}',
      'round.ts': "import round from './round'\nexport default round",
      'store.ts': 'export default class Store { save() {} }',
    })
    const found = meanings(program, 'a.ts').filter((each) => each !== undefined)
    expect(found).toEqual(['go.ts:run', 'store.ts:save', 'old.js:old', 'go.ts:run', 'all.js:start'])
  })

  it('JN1: knows that a package hides a module of the same name', () => {
    const program = programOf({
      'app/a.py': 'from app.views import show\nshow()\n',
      'app/views.py': 'def show():\n    pass\n',
      'app/views/__init__.py': 'def show():\n    pass\n',
    })
    expect(meanings(program, 'app/a.py')).toEqual(['app/views/__init__.py:show'])
  })

  it('JN2: a module that exports what it imports from itself ends', () => {
    const program = programOf({ 'a.ts': "import b from './b'\nb()", 'b.ts': "import b from './b'\nexport default b" })
    expect(meanings(program, 'a.ts')).toEqual([undefined])
  })

  it('JN1: knows what a call of TypeScript means, and how its object was configured', () => {
    const program = programOf({
      'src/a.ts':
        "import axios from 'axios'\nimport { go } from './b.js'\nimport * as all from './lib'\nimport { deep } from '@/x/deep'\nconst api = axios.create({ timeout: 5 })\nexport function f() { go(); all.go(); deep(); api.get('/') }\n",
      'src/b.ts': 'export const go = () => {}\n',
      'src/lib/index.ts': "export * from '../b'\n",
      'src/x/deep.ts': 'export function deep() {}\n',
    })
    expect(program.module('src/a.ts', './b.js')).toBe('src/b.ts')
    expect(program.module('src/a.ts', './lib')).toBe('src/lib/index.ts')
    expect(program.module('src/a.ts', 'axios')).toBeUndefined()
    expect(meanings(program, 'src/a.ts')).toEqual([
      undefined,
      'src/b.ts:go',
      'src/b.ts:go',
      'src/x/deep.ts:deep',
      undefined,
    ])
    const get = program.file('src/a.ts')?.facts.calls.find(({ callee }) => callee.text === 'api.get')
    const made = program.created('src/a.ts', { text: 'api', isOwn: false, root: 'module' }, get?.block ?? 0)
    expect(made?.call.args[0]).toMatchObject({ entries: [['timeout', { value: 5 }]] })
  })

  it('JN1: follows names that the configuration gives, the nearest and the longest first', () => {
    const files = ['app/a.ts', 'app/src/own.ts', 'libs/mail/src/index.ts', 'libs/mail/src/send.ts', 'src/own.ts']
    const program = createProgram(new Map(files.map((path) => [path, readTypeScript(path, 'export const a = 1')])), [
      { folder: '', name: '*', targets: ['*'] },
      { folder: '', name: '@lib/*', targets: ['libs/*/src'] },
      { folder: '', name: '@lib/mail/*', targets: ['gone/*', 'libs/mail/src/*'] },
      { folder: 'app', name: '*', targets: ['app/*'] },
    ])
    expect(program.module('app/a.ts', 'src/own')).toBe('app/src/own.ts')
    expect(program.module('libs/mail/src/send.ts', 'src/own')).toBe('src/own.ts')
    expect(program.module('app/a.ts', '@lib/mail')).toBe('libs/mail/src/index.ts')
    expect(program.module('app/a.ts', '@lib/mail/send')).toBe('libs/mail/src/send.ts')
    expect(program.module('app/a.ts', 'express')).toBeUndefined()
  })

  it('JN2: ends where imports go in circles', () => {
    const program = programOf({
      'a.py': 'from b import x, C\nx()\nclass D(C):\n    def f(self):\n        self.gone()\n',
      'b.py': 'from a import x, D\nx()\nclass C(D):\n    pass\n',
      'c.py': 'from c import *\ny()\n',
    })
    expect(meanings(program, 'a.py')).toEqual([undefined, undefined])
    expect(meanings(program, 'c.py')).toEqual([undefined])
  })
})
