<?php

/**
 * One-time codes: given to a browser after a login, taken from a site's server once. Owns the table `code`, in which
 * only a code's SHA-256 stands. Knows nothing of HTTP, sessions or client secrets: who calls exchange() has checked
 * them.
 *
 * Whoever changes the row from unused to used has the code: the count of changed rows decides between requests at the
 * same moment. A code that comes with another return address than it was issued for is used up; one that comes from
 * another client is not, since its own site may still be on the way with it.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\Audit\AuditLog;
use FaceWeb\Database;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\Security\Clock;

final class Codes
{
    /** The issue's number; OAuth 2.0 (RFC 6749, 4.1.2) recommends at most ten minutes. */
    public const LIFETIME_S = 60;
    /** A used or late code that comes again this long afterwards is still told from one never given, in the audit. */
    private const REMEMBERED_S = 3600;
    private const CODE_BYTES = 32;
    /** RFC 8176: `face` facial recognition, `pwd` password, `mfa` several factors, named beside the single ones. */
    private const METHODS = ['face', 'pwd'];

    public function __construct(
        private readonly Database $database,
        private readonly Clock $clock,
        private readonly People $people,
        private readonly PairwiseSubjects $subjects,
        private readonly AuditLog $audit,
    ) {
    }

    /**
     * @param list<string> $amr how the person logged in
     * @throws CodeRefused for a person who is not active, or a login without a method known here
     */
    public function issue(
        AuthorizationRequest $request,
        Person $person,
        array $amr,
        int $authTime,
        string $source,
    ): string {
        $methods = self::methods($amr);
        if (!$person->isActive()) {
            throw CodeRefused::person($person->id);
        }
        $code = rtrim(strtr(base64_encode(random_bytes(self::CODE_BYTES)), '+/', '-_'), '=');
        $this->keep($code, $request, $person, $methods, $authTime);
        $this->audit->append('code_issued', $person->id, $source, ['client' => $request->client->id]);
        return $code;
    }

    /**
     * Uses the code up and says who logged in.
     *
     * @throws CodeRefused
     */
    public function exchange(Client $client, string $code, string $returnTo, string $source): Identity
    {
        try {
            $row = $this->taken($client, $code);
            $identity = $this->identity($client, $row, $returnTo);
        } catch (CodeRefused $refused) {
            $detail = ['client' => $client->id, 'reason' => $refused->reason];
            $this->audit->append('code_refused', $refused->userId, $source, $detail);
            throw $refused;
        }
        $this->audit->append('code_exchanged', (int) $row['user_id'], $source, ['client' => $client->id]);
        return $identity;
    }

    /** @param list<string> $methods */
    private function keep(
        string $code,
        AuthorizationRequest $request,
        Person $person,
        array $methods,
        int $authTime,
    ): void {
        $now = $this->clock->now();
        $this->database->execute('DELETE FROM code WHERE expires_at <= ?', [$now - self::REMEMBERED_S]);
        $this->database->execute(
            'INSERT INTO code (code_hash, client_id, user_id, return_to, amr, auth_time, expires_at)'
            . ' VALUES (?, ?, ?, ?, ?, ?, ?)',
            [
                hash('sha256', $code), $request->client->id, $person->id, $request->returnTo,
                implode(' ', $methods), $authTime, $now + self::LIFETIME_S,
            ],
        );
    }

    /** @return array<string, int|string|null> the row, which is used up now */
    private function taken(Client $client, string $code): array
    {
        $now = $this->clock->now();
        $key = [hash('sha256', $code), $client->id];
        $unused = 'code_hash = ? AND client_id = ? AND used_at IS NULL';
        $won = $this->database->execute("UPDATE code SET used_at = ? WHERE $unused", [$now, ...$key]) === 1;
        $row = $this->database->row('SELECT * FROM code WHERE code_hash = ? AND client_id = ?', $key);
        if ($row === null) {
            throw CodeRefused::unknown();
        }
        return $won ? $row : throw CodeRefused::used((int) $row['user_id']);
    }

    /** @param array<string, int|string|null> $row */
    private function identity(Client $client, array $row, string $returnTo): Identity
    {
        $userId = (int) $row['user_id'];
        if ($this->clock->now() >= (int) $row['expires_at']) {
            throw CodeRefused::expired($userId);
        }
        if (!hash_equals((string) $row['return_to'], $returnTo)) {
            throw CodeRefused::returnAddress($userId);
        }
        $person = $this->people->byId($userId);
        if ($person === null || !$person->isActive()) {
            throw CodeRefused::person($userId);
        }
        $subject = $this->subjects->of($client->id, $person->id, $person->createdAt);
        return new Identity($subject, $person->email, explode(' ', (string) $row['amr']), (int) $row['auth_time']);
    }

    /**
     * @param list<string> $amr
     * @return list<string>
     */
    private static function methods(array $amr): array
    {
        $methods = array_values(array_intersect(self::METHODS, $amr));
        return match (count($methods)) {
            0 => throw CodeRefused::amr(),
            1 => $methods,
            default => [...$methods, 'mfa'],
        };
    }
}
