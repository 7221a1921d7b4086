import type { LeasedDelivery } from '../../domain/delivery.ts'
import type { NewEvent } from '../../domain/event.ts'

/** Handlers that one event may have; a delivery's key is its event's key times this, plus an ordinal. */
export const MAX_DELIVERIES_PER_EVENT = 1_024

export const firstDeliveryKey = (eventKey: number): number => eventKey * MAX_DELIVERIES_PER_EVENT
export const lastDeliveryKey = (eventKey: number): number => firstDeliveryKey(eventKey) + MAX_DELIVERIES_PER_EVENT - 1
export const eventKeyOf = (deliveryKey: number): number => Math.floor(deliveryKey / MAX_DELIVERIES_PER_EVENT)

/** The deliveries that an event offered to lease, leased as it was appended under this key. */
export const leasedDeliveries = (
  { handlers, lease: offer }: NewEvent,
  eventKey: number,
  lease: string,
): readonly LeasedDelivery[] =>
  (offer?.handlers ?? []).map((handler) => ({
    deliveryId: firstDeliveryKey(eventKey) + handlers.indexOf(handler),
    lease,
    handler,
  }))
