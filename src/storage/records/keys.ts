/** Handlers that one event may have; a delivery's key is its event's key times this, plus an ordinal. */
export const MAX_DELIVERIES_PER_EVENT = 1_024

export const firstDeliveryKey = (eventKey: number): number => eventKey * MAX_DELIVERIES_PER_EVENT
export const lastDeliveryKey = (eventKey: number): number => firstDeliveryKey(eventKey) + MAX_DELIVERIES_PER_EVENT - 1
export const eventKeyOf = (deliveryKey: number): number => Math.floor(deliveryKey / MAX_DELIVERIES_PER_EVENT)
