/** What handler and provider modules import from `holdfast`. */
export { Type } from '@sinclair/typebox'
export { type CatalogueType, catalogue, type DataOf, standardEvent } from './domain/catalogue.ts'
export type { EventFields, Headers, Origin, WebhookEvent } from './domain/event.ts'
export type { Handler, HandlerContext } from './domain/handler.ts'
export { defineProvider, type Provider } from './domain/provider.ts'
export type { HandlerModule, HandlerOptions, Router } from './domain/router.ts'
