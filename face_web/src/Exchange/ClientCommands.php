<?php

/**
 * The operator's commands about client sites, for bin/console. The only place where a secret is printed, once.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\Audit\AuditLog;

final class ClientCommands
{
    public const HELP = [
        'client:add --name NAME --return-to ADDRESS [--return-to ADDRESS ...]' => 'register a site that uses the login',
        'client:list' => 'the registered sites and their return addresses',
        'client:secret ID' => 'give a site a new secret; the old one is void at once',
        'client:remove ID' => 'take a site off; registered again it will meet everybody under new subjects',
    ];
    private const DONE = 0;
    private const REFUSED = 2;

    public function __construct(private readonly Clients $clients, private readonly AuditLog $audit)
    {
    }

    /**
     * @param list<string> $arguments what follows the command
     * @param callable(string): void $say prints one line
     * @return int the exit status: 0, or 2 for anything refused
     */
    public function run(string $command, array $arguments, callable $say): int
    {
        try {
            return match ($command) {
                'client:add' => $this->add($arguments, $say),
                'client:list' => $this->list($say),
                'client:secret' => $this->renewSecret($this->id($arguments), $say),
                'client:remove' => $this->remove($this->id($arguments), $say),
                default => throw new ClientRefused("There is no command '$command'."),
            };
        } catch (ClientRefused $refused) {
            $say($refused->getMessage());
            return self::REFUSED;
        }
    }

    /**
     * @param list<string> $arguments
     * @param callable(string): void $say
     */
    private function add(array $arguments, callable $say): int
    {
        $options = $this->options($arguments);
        $new = $this->clients->add($options['--name'][0] ?? '', $options['--return-to']);
        $this->audit->append('admin_client_added', null, 'console', ['client' => $new->id]);
        return $this->show($new, $say);
    }

    /** @param callable(string): void $say */
    private function list(callable $say): int
    {
        foreach ($this->clients->list() as $client) {
            $say("$client->id  " . gmdate('Y-m-d', $client->createdAt) . "  $client->name");
            foreach ($client->returnTo as $address) {
                $say("    $address");
            }
        }
        return self::DONE;
    }

    /** @param callable(string): void $say */
    private function renewSecret(string $id, callable $say): int
    {
        $new = $this->clients->renewSecret($id);
        $this->audit->append('admin_client_secret', null, 'console', ['client' => $id]);
        return $this->show($new, $say);
    }

    /** @param callable(string): void $say */
    private function remove(string $id, callable $say): int
    {
        if (!$this->clients->remove($id)) {
            throw ClientRefused::unknown($id);
        }
        $this->audit->append('admin_client_removed', null, 'console', ['client' => $id]);
        $say("Client $id is removed.");
        return self::DONE;
    }

    /** @param callable(string): void $say */
    private function show(NewClient $new, callable $say): int
    {
        $say("client_id: $new->id");
        $say("client_secret: $new->secret");
        $say('The secret is not kept here and cannot be shown again.');
        return self::DONE;
    }

    /** @param list<string> $arguments */
    private function id(array $arguments): string
    {
        return count($arguments) === 1 ? $arguments[0] : throw new ClientRefused('Give one client id.');
    }

    /**
     * @param list<string> $arguments
     * @return array{'--name': list<string>, '--return-to': list<string>}
     */
    private function options(array $arguments): array
    {
        $options = ['--name' => [], '--return-to' => []];
        foreach (array_chunk($arguments, 2) as $pair) {
            if (count($pair) !== 2 || !isset($options[$pair[0]])) {
                throw new ClientRefused("'$pair[0]' is no option with a value; use --name and --return-to.");
            }
            $options[$pair[0]][] = $pair[1];
        }
        return count($options['--name']) === 1 ? $options : throw new ClientRefused('Give one --name.');
    }
}
