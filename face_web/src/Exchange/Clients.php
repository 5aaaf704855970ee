<?php

/**
 * The registered sites. Owns the table `client`; knows nothing of codes, people or HTTP.
 *
 * A secret is 256 random bits, so its plain SHA-256 is kept: there is nothing to guess that a slow hash would protect,
 * and a slow one would let anybody who can reach the endpoint load the machine.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\Database;
use FaceWeb\Security\Clock;

final class Clients
{
    public const MAX_ADDRESSES = 10;
    private const SECRET_BYTES = 32;
    private const ID_BYTES = 8;
    private const COLUMNS = 'id, name, return_to, created_at';

    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
    }

    /**
     * @param list<string> $returnTo exact addresses
     * @throws ClientRefused
     */
    public function add(string $name, array $returnTo): NewClient
    {
        $name = trim($name);
        if (preg_match('/\A[^\p{C}]{1,80}\z/u', $name) !== 1) {
            throw ClientRefused::name();
        }
        if ($returnTo === [] || count($returnTo) > self::MAX_ADDRESSES) {
            throw ClientRefused::noAddress();
        }
        array_map(ReturnAddress::check(...), $returnTo);
        $new = new NewClient(bin2hex(random_bytes(self::ID_BYTES)), self::secret());
        $addresses = json_encode(array_values(array_unique($returnTo)), JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
        $this->database->execute(
            'INSERT INTO client (id, name, secret_hash, return_to, created_at) VALUES (?, ?, ?, ?, ?)',
            [$new->id, $name, self::hash($new->secret), $addresses, $this->clock->now()],
        );
        return $new;
    }

    /**
     * A new secret; the old one is void at once. The id, and with it the subjects the site knows, stay.
     *
     * @throws ClientRefused
     */
    public function renewSecret(string $id): NewClient
    {
        if ($this->find($id) === null) {
            throw ClientRefused::unknown($id);
        }
        $new = new NewClient($id, self::secret());
        $change = [self::hash($new->secret), $id];
        if ($this->database->execute('UPDATE client SET secret_hash = ? WHERE id = ?', $change) !== 1) {
            throw ClientRefused::unknown($id);
        }
        return $new;
    }

    /** False: there was none. Its unused codes go with it. */
    public function remove(string $id): bool
    {
        return $this->database->transaction(function () use ($id): bool {
            $this->database->execute('DELETE FROM code WHERE client_id = ?', [$id]);
            return $this->database->execute('DELETE FROM client WHERE id = ?', [$id]) === 1;
        });
    }

    /** @return list<Client> oldest first */
    public function list(): array
    {
        $rows = $this->database->rows('SELECT ' . self::COLUMNS . ' FROM client ORDER BY created_at, id', []);
        return array_values(array_map(self::client(...), $rows));
    }

    public function find(string $id): ?Client
    {
        if (!self::isId($id)) {
            return null;
        }
        $row = $this->database->row('SELECT ' . self::COLUMNS . ' FROM client WHERE id = ?', [$id]);
        return $row === null || $row['id'] !== $id ? null : self::client($row);
    }

    /** The client, if the secret is its own; one query and one comparison whether it exists or not. */
    public function authenticated(string $id, #[\SensitiveParameter] string $secret): ?Client
    {
        $id = self::isId($id) ? $id : '';
        $row = $this->database->row('SELECT secret_hash, ' . self::COLUMNS . ' FROM client WHERE id = ?', [$id]);
        $right = hash_equals((string) ($row['secret_hash'] ?? str_repeat('-', 64)), self::hash($secret));
        return $right && $row !== null && $row['id'] === $id ? self::client($row) : null;
    }

    /** Before the database is asked: MySQL takes a letter that its column cannot hold for an error. */
    private static function isId(string $id): bool
    {
        return preg_match('/\A[0-9a-f]{' . 2 * self::ID_BYTES . '}\z/', $id) === 1;
    }

    /** @param array<string, mixed> $row */
    private static function client(array $row): Client
    {
        $addresses = json_decode((string) $row['return_to'], true, 2, JSON_THROW_ON_ERROR);
        $createdAt = (int) $row['created_at'];
        return new Client((string) $row['id'], (string) $row['name'], array_values($addresses), $createdAt);
    }

    private static function secret(): string
    {
        return rtrim(strtr(base64_encode(random_bytes(self::SECRET_BYTES)), '+/', '-_'), '=');
    }

    private static function hash(#[\SensitiveParameter] string $secret): string
    {
        return hash('sha256', $secret);
    }
}
