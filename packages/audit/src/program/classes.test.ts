import { describe, expect, it } from 'vitest'
import { readTypeScript } from '../readers/typescript/index.ts'
import { createProgram, type Program } from './index.ts'

function programOf(files: Readonly<Record<string, string>>): Program {
  return createProgram(new Map(Object.entries(files).map(([path, source]) => [path, readTypeScript(path, source)])))
}

/** `file:function` of what each call of a method means in a file. */
function meanings(program: Program, path: string): readonly string[] {
  return (program.file(path)?.facts.calls ?? []).flatMap((call) => {
    const target = call.callee.text.includes('.') ? program.target({ file: path, call }) : undefined
    return target === undefined
      ? []
      : `${target.file}:${program.file(target.file)?.facts.blocks[target.block]?.name ?? ''}`
  })
}

const STORE = 'export class Shelves {\n  async find(id: string) {}\n  async save(shelf: object) {}\n}\n'

describe('classes of objects', () => {
  it('JN1, QK12: a field is what a constructor declares, through every layer', () => {
    const program = programOf({
      'shelves.ts': STORE,
      'library.ts':
        "import { Shelves } from './shelves'\nexport class Library {\n  constructor(private readonly shelves: Shelves) {}\n  lend(id: string) { return this.shelves.find(id) }\n}\n",
      'desk.ts':
        "import { Library } from './library'\nexport class Desk {\n  constructor(private readonly library: Library, private other: string) {}\n  ask(id: string) {\n    this.library.lend(id)\n    this.library.shelves.save(id)\n    this.other.trim()\n  }\n}\n",
    })
    expect(meanings(program, 'library.ts')).toEqual(['shelves.ts:find'])
    expect(meanings(program, 'desk.ts')).toEqual(['library.ts:lend', 'shelves.ts:save'])
  })

  it('QK12: a field may be given, made or inherited, and a class may stand in the same file', () => {
    const program = programOf({
      'shelves.ts': STORE,
      'base.ts':
        "import { Shelves } from './shelves'\nexport abstract class Base {\n  protected shelves: Shelves\n  constructor(shelves: Shelves) { this.shelves = shelves }\n}\n",
      'desk.ts':
        "import { Base } from './base'\nclass Stamp { press() {} }\nexport class Desk extends Base {\n  stamp: Stamp\n  pad = new Stamp()\n  ask() {\n    this.shelves.find('1')\n    this.stamp.press()\n    this.pad.press()\n  }\n}\n",
    })
    expect(meanings(program, 'desk.ts')).toEqual(['shelves.ts:find', 'desk.ts:press', 'desk.ts:press'])
  })

  it('QK12: a field that is not declared is what it is given', () => {
    const program = programOf({
      'shelves.ts': STORE,
      'desk.ts':
        "import { Shelves } from './shelves'\nexport class Desk {\n  constructor(shelves: Shelves) { this.shelves = shelves }\n  ask() { this.shelves.find('1') }\n}\n",
    })
    expect(meanings(program, 'desk.ts')).toEqual(['shelves.ts:find'])
  })

  it('QK12: a parameter is what it was declared as, also in a callback, and a function gives out what it makes', () => {
    const program = programOf({
      'shelves.ts': `${STORE}export async function openShelves() {\n  return new Shelves()\n}\n`,
      'desk.ts':
        "import { openShelves, type Shelves } from './shelves'\nexport async function ask(shelves: Shelves, ids: string[]) {\n  ids.forEach((id) => shelves.find(id))\n  const own = await openShelves()\n  await own.save({})\n}\n",
    })
    expect(meanings(program, 'desk.ts')).toEqual(['shelves.ts:find', 'shelves.ts:save'])
  })

  it('QK12: what is no class of the repository is declared, and means no function', () => {
    const source =
      "import { Repository } from 'typeorm'\nimport { Book } from './book'\nexport class Books {\n  constructor(private readonly books: Repository<Book>, private readonly port: Port) {}\n  all() {\n    this.books.find()\n    this.port.find()\n  }\n}\n"
    const program = programOf({ 'books.ts': source })
    const [call] = program.file('books.ts')?.facts.calls ?? []
    expect(meanings(program, 'books.ts')).toEqual([])
    expect(program.declared('books.ts', { text: 'books', isOwn: true, root: '' }, call?.block ?? 0)?.type).toEqual({
      text: 'Repository',
      isOwn: false,
      root: 'import:typeorm#Repository',
      of: 'Book',
    })
    expect(program.declared('books.ts', { text: 'port', isOwn: true, root: '' }, call?.block ?? 0)).toBeUndefined()
  })

  it('JN2, QK12: fields that are made of each other end', () => {
    const program = programOf({
      'a.ts':
        'class A {\n  one = this.two\n  two = this.one\n  go() { this.one.go() }\n}\nclass B extends B {\n  go() { this.gone.go() }\n}\n',
    })
    expect(meanings(program, 'a.ts')).toEqual([])
  })
})
