// One moment at which something is done, on the kernel's wheel. Setting it again while it is set changes nothing: what is gathered until then is
// done with what came first.

import { type Env, WheelEntry } from '@ripstop/kernel'

export class Alarm extends WheelEntry {
  readonly #env: Env
  readonly #fire: () => void
  #isSet = false

  constructor(env: Env, fire: () => void) {
    super()
    this.#env = env
    this.#fire = fire
  }

  setIn(ms: number): void {
    if (this.#isSet) return
    this.#isSet = true
    this.#env.wheel.arm(this, this.#env.clock.monoMs() + ms)
  }

  clear(): void {
    this.#isSet = false
    this.#env.wheel.disarm(this)
  }

  override onDue(): void {
    this.#isSet = false
    this.#fire()
  }
}
