// Facts. What one source file says, in a form that is the same for TypeScript, JavaScript and Python, extracted once and kept by the hash of
// the file's bytes. Rules read facts and never syntax trees. A file is a tree of blocks (function, branch, loop, try, handler …); everything that
// happens (call, assignment, exit …) names the block that it is in, so that "inside a handler of that call" is a walk up.
// Facts are plain data: they cross threads and are kept as JSON. Names in them are local to the file; `program/` joins files.

export type Language = 'typescript' | 'javascript' | 'python'

/** Lines from 1. Index of a block in `blocks`; -1: none. */
export interface Place {
  readonly line: number
  readonly endLine: number
  readonly block: number
}

export const BLOCK_KINDS = [
  'module',
  'class',
  'function',
  'branch', // the part of an `if`, `switch`, `match` or `?:` that runs where `test` holds
  'otherwise', // the part that runs where the tests before it don't
  'loop',
  'try',
  'handler', // catch, except
  'finally',
  'with', // with, using, async with: `test` is what is held
] as const
export type BlockKind = (typeof BLOCK_KINDS)[number]

export interface Block {
  readonly kind: BlockKind
  /** Enclosing one; -1 for the module. */
  readonly parent: number
  readonly line: number
  readonly endLine: number
  /** Functions and classes: their name; '' for anonymous ones. Handlers: the exception's class, '' for any. */
  readonly name: string
  /** Functions only. */
  readonly fn?: FunctionFacts
  /** Branches, loops and `with`: what is tested, walked over or held. A loop without one is endless. */
  readonly test?: Value
  /** Handlers: the name that the error is bound to. Loops: what is bound. */
  readonly binds?: string
  /** The `try` of a handler or finally; the branch of an otherwise: index of that block. */
  readonly of?: number
}

export interface FunctionFacts {
  readonly isAsync: boolean
  readonly isGenerator: boolean
  readonly isExported: boolean
  readonly kind: 'function' | 'method' | 'constructor' | 'getter' | 'setter' | 'arrow' | 'lambda'
  readonly isStatic: boolean
  readonly params: readonly string[]
  /** What the parameters were annotated as, if that is imported or of the module; null: nothing, or no name. Absent: none is. */
  readonly types?: readonly (TypeName | null)[]
  /** Decorators as calls are written: `app.get('/x')`, `Cron('* * * * *')`. */
  readonly decorators: readonly Call[]
}

/** A dotted name as written, without `this.`/`self.`, which is `isOwn`: `client.get` of `this.client.get(…)`. Calls in between end it: '()' stands for them. */
export interface Path {
  readonly text: string
  readonly isOwn: boolean
  /** Of the outermost name: `import:axios`, `import:axios#get`, `import:./redis#client`, `param`, `local`, `global`, or '' where unknown. */
  readonly root: string
}

/** What something was annotated as. `of`: the first argument of a generic, `User` of `Repository<User>`. */
export interface TypeName extends Path {
  readonly of?: string
}

/** An expression, as far as rules need it. Texts are cut at 200 characters. */
export type Value =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'null' } // null, undefined, None
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'call'; readonly call: number } // index in `calls`
  /** `hasSpread`: something else is mixed in (`...rest`, `**kwargs`). */
  | {
      readonly kind: 'object'
      readonly entries: readonly (readonly [name: string, Value])[]
      readonly hasSpread: boolean
      /** What is mixed in: `existing` of `{ ...existing, name }`. Absent: nothing is. */
      readonly spreads?: readonly Value[]
    }
  | { readonly kind: 'list'; readonly items: readonly Value[]; readonly hasSpread: boolean }
  | { readonly kind: 'function'; readonly block: number }
  /** Template or f-string: its fixed parts, and what is put in. */
  | { readonly kind: 'template'; readonly parts: readonly string[]; readonly values: readonly Value[] }
  | { readonly kind: 'not'; readonly value: Value }
  /** `a || b`, `a and b`, `a < b`, `a + b`, `a in b`, `a ?? b` … */
  | { readonly kind: 'operation'; readonly operator: string; readonly left: Value; readonly right: Value }
  | { readonly kind: 'await'; readonly value: Value }
  | { readonly kind: 'other'; readonly text: string }

/** How the value of a call is used. */
export type CallUse = 'awaited' | 'returned' | 'assigned' | 'argument' | 'chained' | 'tested' | 'void' | 'dropped'

export interface Call extends Place {
  readonly callee: Path
  readonly args: readonly Value[]
  /** Python's keyword arguments; in TypeScript empty. */
  readonly named: readonly (readonly [name: string, Value])[]
  readonly hasSpread: boolean
  readonly isNew: boolean
  readonly use: CallUse
  /** A call whose result this one is called on: `fetch(u).then(f)` has `fetch(u)` here. Index in `calls`; -1: none. */
  readonly on: number
  /** Assigned to: `this.client`, `conn`; undefined: nothing. */
  readonly target: Path | undefined
}

export interface Assignment extends Place {
  readonly target: Path
  readonly operator: '=' | '+=' | '-=' | '??=' | '||=' | '&&=' | 'delete' | 'other'
  readonly value: Value
  /** `const`, `let`, class field, parameter default: it comes into being here. */
  readonly isDeclaration: boolean
  /** Class fields, also those that a constructor's parameters declare: what they were annotated as, if that is imported or of the module. */
  readonly type?: TypeName
}

export interface Exit extends Place {
  readonly kind: 'return' | 'throw' | 'break' | 'continue' | 'yield'
  readonly value: Value | undefined
}

export interface Import {
  readonly module: string
  /** '*' for the whole module, 'default'. */
  readonly imported: string
  readonly local: string
  readonly line: number
  readonly isTypeOnly: boolean
}

/** A read of the environment, whatever way: process.env.X, os.environ[...], os.getenv, config('X'), pydantic settings fields. */
export interface EnvRead extends Place {
  readonly name: string
  readonly fallback: Value | undefined
}

export interface ClassFacts {
  readonly block: number
  readonly name: string
  readonly bases: readonly string[]
  readonly decorators: readonly Call[]
}

export interface FileFacts {
  readonly file: string
  readonly language: Language
  readonly lines: number
  readonly blocks: readonly Block[]
  readonly calls: readonly Call[]
  readonly assignments: readonly Assignment[]
  readonly exits: readonly Exit[]
  readonly imports: readonly Import[]
  readonly exports: readonly string[]
  readonly classes: readonly ClassFacts[]
  readonly envReads: readonly EnvRead[]
  /** Lines that comments cover, with their text, for acknowledgements (`degrade on purpose`) and suppressions. */
  readonly comments: readonly { readonly line: number; readonly text: string }[]
  /** The parser gave up there; what came before is kept. Undefined: it was read whole. */
  readonly brokenAt: number | undefined
}
