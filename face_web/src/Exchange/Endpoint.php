<?php

/**
 * The exchange as a site's server meets it: first who asks, then what for. Knows the throttle; knows no HTTP.
 *
 * Only wrong secrets are counted. A busy site exchanges many codes at once from one address, which counters that charge
 * before they know the outcome would lock; and a secret of 256 bits needs no lock before its door, so that nobody who
 * shares an address with a site can shut it out.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\Audit\AuditLog;
use FaceWeb\Security\Attempt;
use FaceWeb\Security\Throttle;

final class Endpoint
{
    public function __construct(
        private readonly Clients $clients,
        private readonly Codes $codes,
        private readonly Throttle $throttle,
        private readonly AuditLog $audit,
    ) {
    }

    /** @throws ExchangeRefused */
    public function exchange(ExchangeRequest $request, string $source): Identity
    {
        $client = $this->clients->authenticated($request->clientId, $request->secret);
        if ($client === null) {
            throw $this->wrongSecret($request->clientId, $source);
        }
        try {
            return $this->codes->exchange($client, $request->code, $request->returnTo, $source);
        } catch (CodeRefused $refused) {
            throw ExchangeRefused::grant($refused);
        }
    }

    /** While the source is locked nothing is written: the audit log must not grow as fast as somebody can guess. */
    private function wrongSecret(string $clientId, string $source): ExchangeRefused
    {
        $attempt = Attempt::exchange($source);
        $verdict = $this->throttle->begin($attempt);
        if (!$verdict->allowed) {
            return ExchangeRefused::throttled(max(1, $verdict->retryAfterS));
        }
        $this->throttle->failed($attempt);
        $known = $this->clients->find($clientId)?->id;
        $this->audit->append('client_refused', null, $source, ['client' => $known ?? 'unknown']);
        return ExchangeRefused::client();
    }
}
