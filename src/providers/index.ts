import ai from './ai.ts'
import anthropic from './anthropic.ts'
import assemblyai from './assemblyai.ts'
import type { ProviderModule } from './define-provider.ts'
import github from './github.ts'
import openai from './openai.ts'
import replicate from './replicate.ts'
import standard from './standard.ts'
import stripe from './stripe.ts'
import svix from './svix.ts'

/** The providers that come with Holdfast. Each is the default export of the file of its name beside this one. */
export const shippedProviders: readonly ProviderModule[] = [
  ai,
  anthropic,
  assemblyai,
  github,
  openai,
  replicate,
  standard,
  stripe,
  svix,
]
