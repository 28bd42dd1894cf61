// What a command of the CLI gets: the outside world as arguments, so that tests can call commands as functions.

export interface Terminal {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly error: (text: string) => void
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
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
