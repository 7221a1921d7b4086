import type { Provider } from '../domain/provider.ts'
import type { Scheme } from '../signatures/registry.ts'

/** What a provider module exports by default. */
export type ProviderModule = Provider<Scheme>

/** Returns its argument, with types: a plain object of the same shape works too. */
export const defineProvider = <const Module extends ProviderModule>(provider: Module): Module => provider
