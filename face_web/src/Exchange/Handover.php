<?php

/**
 * A site's request while its visitor logs in. It waits in the session, not in the address: begin() takes it from the
 * query of /login, finish() or resume() turns it into the address to go back to, once. Knows no HTTP and renders
 * nothing.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\People\Person;
use FaceWeb\Security\Clock;
use FaceWeb\Session;

final class Handover
{
    /** Whoever logs in later than this has most likely come for something else, and must not be sent away. */
    public const WAITS_S = 600;
    private const KEY = 'handover';
    /** One login is handed on so often; nobody visits more sites within minutes, and each time is a line of the audit. */
    private const MOST_RESUMED = 20;

    public function __construct(
        private readonly Clients $clients,
        private readonly Codes $codes,
        private readonly Clock $clock,
        private readonly int $freshLoginS,
    ) {
    }

    /**
     * Does this query come from a site, well formed or not?
     *
     * @param array<array-key, mixed> $query
     */
    public static function asked(array $query): bool
    {
        $ours = ['client', 'client_id', 'return_to', 'redirect_uri', 'response_type'];
        return array_intersect($ours, array_keys($query)) !== [];
    }

    /**
     * Keeps the request; a former one is forgotten in any case. An empty `client` is the visitor giving it up.
     *
     * @param array<array-key, mixed> $query
     * @throws RequestRefused to be shown on our own page
     */
    public function begin(Session $session, array $query): void
    {
        $session->remove(self::KEY);
        if ($query === ['client' => '']) {
            return;
        }
        $request = AuthorizationRequest::read($query, $this->clients);
        $session->set(self::KEY, [
            'client' => $request->client->id,
            'return_to' => $request->returnTo,
            'state' => $request->state,
            'begun_at' => $this->clock->now(),
        ]);
    }

    public function pending(Session $session): ?PendingRequest
    {
        $request = $this->request($session);
        return $request === null ? null : new PendingRequest(
            $request->client->name,
            ReturnAddress::host($request->returnTo),
            ReturnAddress::origin($request->returnTo),
        );
    }

    /** What form-action of the login page must allow besides 'self': browsers check the redirects after a POST too. */
    public function formAction(Session $session): string
    {
        return $this->pending($session)?->origin ?? '';
    }

    /**
     * For somebody who is signed in already: as finish(), unless that login is older than fresh_login_s or was handed
     * on too often. Then, and where no site waits, null; the request goes on waiting for a new login.
     *
     * @throws CodeRefused
     */
    public function resume(Session $session, Person $person, string $source): ?string
    {
        $fresh = $this->clock->now() - $session->authTime() < $this->freshLoginS;
        if (!$fresh || $this->request($session) === null || $session->userId() !== $person->id) {
            return null;
        }
        $resumed = $session->get('resumed');
        $count = is_array($resumed) && $resumed['login'] === $session->authTime() ? (int) $resumed['count'] : 0;
        if ($count >= self::MOST_RESUMED) {
            return null;
        }
        $session->set('resumed', ['login' => $session->authTime(), 'count' => $count + 1]);
        return $this->finish($session, $person, $session->amr(), $session->authTime(), $source);
    }

    /**
     * The address that carries a login back to the site, once, or null where no site waits for it.
     *
     * @param list<string> $amr how the person logged in
     * @throws CodeRefused where this login must not be handed on
     */
    public function finish(Session $session, Person $person, array $amr, int $authTime, string $source): ?string
    {
        $request = $this->request($session);
        $session->remove(self::KEY);
        if ($request === null) {
            return null;
        }
        $code = $this->codes->issue($request, $person, $amr, $authTime, $source);
        return ReturnAddress::with($request->returnTo, ['code' => $code, 'state' => $request->state]);
    }

    /** Read again each time: the client may have been removed since. */
    private function request(Session $session): ?AuthorizationRequest
    {
        $kept = $session->get(self::KEY);
        if (!is_array($kept) || $this->clock->now() - (int) ($kept['begun_at'] ?? 0) > self::WAITS_S) {
            return null;
        }
        try {
            return AuthorizationRequest::read($kept, $this->clients);
        } catch (RequestRefused) {
            return null;
        }
    }
}
