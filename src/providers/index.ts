import ai from './ai/provider.ts'
import anthropic from './anthropic.ts'
import assemblyai from './assemblyai.ts'
import type { ProviderModule } from './define-provider.ts'
import github from './github/provider.ts'
import openai from './openai.ts'
import replicate from './replicate.ts'
import standard from './standard.ts'
import stripe from './stripe.ts'
import svix from './svix.ts'

/** The modules of the providers that come with Holdfast → their default exports. */
export const shippedModules: Readonly<Record<string, ProviderModule>> = {
  './ai/provider.ts': ai,
  './anthropic.ts': anthropic,
  './assemblyai.ts': assemblyai,
  './github/provider.ts': github,
  './openai.ts': openai,
  './replicate.ts': replicate,
  './standard.ts': standard,
  './stripe.ts': stripe,
  './svix.ts': svix,
}

export const shippedProviders: readonly ProviderModule[] = Object.values(shippedModules)
