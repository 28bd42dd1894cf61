// What a command of the CLI gets: the outside world as arguments, so that tests can call commands as functions.

export interface Terminal {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly error: (text: string) => void
  /** Everything on standard input, to its end. */
  readonly input: () => Promise<string>
  /** Somebody looks on while it happens: a line of progress may be rewritten in place. */
  readonly isWatched: boolean
  /** Of standard output, where that is a terminal. */
  readonly columns?: number | undefined
  /** Resolves at the first signal to stop; a second one exits at once. Until it is asked for, the first one exits. */
  readonly stopped: () => Promise<string>
}

/** Runs to the end and gives the exit code: 0 done, 1 failed, 2 called wrongly. */
export type Command = (terminal: Terminal) => Promise<number>

export interface CommandDoc {
  readonly usage: string
  readonly summary: string
  readonly run: Command
}

/** Columns as wide as their widest cell, two spaces apart. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const plain = rows.map((row) => row.map(toPlain))
  const widths: number[] = []
  for (const row of plain) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return plain
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** What others wrote (a receiver's answer, a description) moves no cursor and makes no second line. */
export function toPlain(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ')
}
