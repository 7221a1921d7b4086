import { Gauge, type Registry } from '@prometheus-io/client'
import type { PauseService } from '../domain/pause.ts'

export interface PauseMetrics {
  readonly pauses: Pick<PauseService, 'find' | 'isDraining'>
  readonly handlers: () => readonly { readonly name: string }[]
  /** Names of the configured sources. */
  readonly sources: () => Iterable<string>
}

/** What is paused, of the handlers and sources that are known now. */
export function pauseGauges(registers: Registry[], { pauses, handlers, sources }: PauseMetrics): void {
  new Gauge({
    name: 'holdfast_handler_paused',
    help: '1 while the handler is paused; otherwise 0.',
    labelNames: ['handler'],
    registers,
    collect() {
      this.reset()
      for (const { name } of handlers()) this.set({ handler: name }, pauses.find('handler', name) === undefined ? 0 : 1)
    },
  })
  new Gauge({
    name: 'holdfast_source_paused',
    help: '1 while the deliveries of the source are paused; otherwise 0.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset()
      for (const name of sources()) this.set({ source: name }, pauses.find('source', name) === undefined ? 0 : 1)
    },
  })
  new Gauge({
    name: 'holdfast_draining',
    help: '1 while this process claims no work because an operator drains it; otherwise 0.',
    registers,
    collect() {
      this.set(pauses.isDraining ? 1 : 0)
    },
  })
}
