// Promises of libraries, by what an object was declared as or made by: repositories of TypeORM, models of Mongoose, Prisma, queues, mail, Nest's applications. Some
// of them only begin when somebody waits for them or subscribes.
//   QK1. Only what is declared as, extends, or was made by a thing of the library counts; a class of the repository with methods of the same names does not.

import type { Call, Path } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import { lastName } from '../queries.ts'

export interface LibraryPromise {
  readonly library: string
  /** Nothing happens until it is awaited or subscribed to. */
  readonly isLazy: boolean
}

interface Known {
  readonly library: string
  readonly module: RegExp
  /** Of the module: what is declared, extended, or called to make it. */
  readonly name: RegExp
  readonly eager: RegExp
  readonly lazy: RegExp
}

const NEVER = /^(?!)/
const VERBS = /^(?:get|post|put|patch|delete|head|request)$/
const ORM = /^(?:save|remove|softRemove|insert|update|upsert|delete|softDelete|restore|increment|decrement|clear)$/
const DOCUMENTS = /^(?:create|insertMany|bulkWrite|bulkSave)$/
const QUERIES =
  /^(?:updateOne|updateMany|deleteOne|deleteMany|replaceOne|findOneAndUpdate|findOneAndDelete|findOneAndReplace|findByIdAndUpdate|findByIdAndDelete)$/
const ROWS = /^(?:create|createMany|update|updateMany|upsert|delete|deleteMany|\$executeRaw\w*|\$transaction)$/

const KNOWN: readonly Known[] = [
  { library: 'typeorm', module: /^typeorm$/, name: /Repository$|^EntityManager$/, eager: ORM, lazy: NEVER },
  { library: 'mongoose', module: /^mongoose$/, name: /Model$/, eager: DOCUMENTS, lazy: QUERIES },
  { library: 'prisma', module: /^@prisma\/client$|^nestjs-prisma$/, name: /^Prisma/, eager: NEVER, lazy: ROWS },
  { library: 'bullmq', module: /^(?:bullmq|bull)$/, name: /^(?:Queue|default)$/, eager: /^add(?:Bulk)?$/, lazy: NEVER },
  {
    library: '@nestjs/microservices',
    module: /^@nestjs\/microservices$/,
    name: /^Client(?!Grpc)/,
    eager: NEVER,
    lazy: /^send$/,
  },
  { library: '@nestjs/axios', module: /^@nestjs\/axios$/, name: /^HttpService$/, eager: NEVER, lazy: VERBS },
  {
    library: 'nodemailer',
    module: /^nodemailer$|\/mailer$/,
    name: /^(?:createTransport|Transporter|MailerService)$/,
    eager: /^sendMail$/,
    lazy: NEVER,
  },
  { library: 'Nest', module: /^@nestjs\/core$/, name: /^create(?:Microservice)?$/, eager: /^listen$/, lazy: NEVER },
]

/** What the promise of a call is of; undefined: it has none, or that is not told. */
export function libraryPromise(program: Program, file: IndexedFile, call: Call): LibraryPromise | undefined {
  const { text } = call.callee
  const name = lastName(call.callee)
  const dot = text.lastIndexOf('.')
  if (dot <= 0 || text.startsWith('().') || !KNOWN.some(({ eager, lazy }) => eager.test(name) || lazy.test(name)))
    return undefined
  const receiver: Path = { ...call.callee, text: text.slice(0, dot) }
  const at = receiver.text.lastIndexOf('.')
  // `this.prisma.user.create`: the table stands in between.
  const outer = at <= 0 ? undefined : knownOf(program, file, { ...receiver, text: receiver.text.slice(0, at) }, call)
  const known = knownOf(program, file, receiver, call) ?? (outer?.library === 'prisma' ? outer : undefined)
  if (known?.lazy.test(name) === true) return { library: known.library, isLazy: true }
  return known?.eager.test(name) === true ? { library: known.library, isLazy: false } : undefined
}

function knownOf(program: Program, { facts }: IndexedFile, receiver: Path, call: Call): Known | undefined {
  const declared = program.declared(facts.file, receiver, call.block)?.type
  const named = declared === undefined ? undefined : ofModule(declared)
  if (named !== undefined) return named
  const own = program.classOf(facts.file, receiver, call.block)
  if (own !== undefined) return ofBase(program, own, 0)
  const made = program.created(facts.file, receiver, call.block)
  if (made === undefined) return undefined
  if (/^get\w*Repository$/.test(lastName(made.call.callee))) return KNOWN[0]
  return ofModule(made.call.callee)
}

function ofModule({ text, root }: Path): Known | undefined {
  if (!root.startsWith('import:')) return undefined
  const [module = '', imported = ''] = root.slice('import:'.length).split('#')
  const name = text.includes('.') || imported === '' ? text.slice(text.lastIndexOf('.') + 1) : imported
  return KNOWN.find((known) => known.module.test(module) && known.name.test(name))
}

/** What a class of the repository extends that is not of the repository. */
function ofBase(program: Program, owner: BlockRef, depth: number): Known | undefined {
  const file = program.file(owner.file)
  for (const base of depth > 3 ? [] : (file?.bases(owner.block) ?? [])) {
    const imported = file?.facts.imports.find(({ local }) => local === base.split('.', 1)[0])
    const root = imported === undefined ? 'module' : `import:${imported.module}#${imported.imported}`
    const path: Path = { text: base, isOwn: false, root }
    const inner = program.classNamed(owner.file, path)
    const found = inner === undefined ? ofModule(path) : ofBase(program, inner, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}
