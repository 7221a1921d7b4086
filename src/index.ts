/// <reference types="node" preserve="true" />
/** What handler and provider modules import from `holdfast`. */
export { Type } from '@sinclair/typebox'
export type { CreatedAtSource, EventFields, Headers, Origin, WebhookEvent } from './domain/event.ts'
export { type CatalogueType, catalogue, type DataOf, standardEvent } from './domain/event-catalogue.ts'
export type { Handler, HandlerContext } from './domain/handler.ts'
export type { ApiRequest } from './domain/outbound.ts'
export type { ProviderApi, Registration, RegistrationApi, TaskAnswer, TaskApi } from './domain/provider.ts'
export type { HandlerModule, HandlerOptions, Router } from './domain/router.ts'
export { forward } from './forward/forward.ts'
export type { ForwardOptions } from './forward/options.ts'
export { defineProvider, type ProviderModule as Provider } from './providers/define-provider.ts'
