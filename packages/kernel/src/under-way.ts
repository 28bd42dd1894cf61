import type { AnyCall } from './call.ts'

/** The calls that are at a link's peer right now: an intrusive list, so that a call joins and leaves in a few writes. */
export class CallsUnderWay {
  #first: AnyCall | undefined
  #count = 0
  readonly #onIdle = new Set<() => void>()

  get count(): number {
    return this.#count
  }

  add(call: AnyCall): void {
    this.#count++
    call.previousUnderWay = undefined
    call.nextUnderWay = this.#first
    if (this.#first !== undefined) this.#first.previousUnderWay = call
    this.#first = call
  }

  remove(call: AnyCall): void {
    if (call.previousUnderWay !== undefined) call.previousUnderWay.nextUnderWay = call.nextUnderWay
    else this.#first = call.nextUnderWay
    if (call.nextUnderWay !== undefined) call.nextUnderWay.previousUnderWay = call.previousUnderWay
    call.previousUnderWay = undefined
    call.nextUnderWay = undefined
    this.#count--
    if (this.#count === 0) for (const idle of this.#onIdle) idle()
  }

  /** Fails every call of a generation. One that fails may end or begin others: the list is not walked meanwhile. */
  lose(generationNumber: number, why: string): void {
    const doomed: AnyCall[] = []
    for (let call = this.#first; call !== undefined; call = call.nextUnderWay) {
      if (call.generationNumber === generationNumber) doomed.push(call)
    }
    for (const call of doomed) if (call.generationNumber === generationNumber) call.lost(why)
  }

  /** How far the most overdue call is past its deadline, ms; 0: none is (L5). */
  oldestOverdueMs(nowMs: number): number {
    let oldestMs = 0
    for (let call = this.#first; call !== undefined; call = call.nextUnderWay) {
      oldestMs = Math.max(oldestMs, nowMs - call.deadlineAt)
    }
    return oldestMs
  }

  /** Resolves when nothing is under way any more, or when `signal` aborts. Any number may wait. */
  idle(signal: AbortSignal): Promise<void> {
    if (this.#count === 0 || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        this.#onIdle.delete(end)
        signal.removeEventListener('abort', end)
        resolve()
      }
      this.#onIdle.add(end)
      signal.addEventListener('abort', end, { once: true })
    })
  }
}
