import { type Terminal, toPlain } from './terminal.ts'

export interface Progress {
  /** What there is to say now. */
  readonly say: (text: string) => void
  /** Leaves the last line standing. */
  readonly end: () => void
}

/** On a terminal one line that is rewritten; in a file or a pipe a line for each change. */
export function createProgress(terminal: Terminal): Progress {
  let last = ''
  return {
    say: (text) => {
      const line = toPlain(text)
      if (line === last) return
      last = line
      terminal.error(terminal.isWatched ? `\r\u001b[2K${line}` : `${line}\n`)
    },
    end: () => {
      if (terminal.isWatched && last !== '') terminal.error('\n')
    },
  }
}
