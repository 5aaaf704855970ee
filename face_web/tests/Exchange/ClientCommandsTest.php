<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\ClientCommands;

final class ClientCommandsTest extends ExchangeCase
{
    /** @var list<string> */
    private array $said = [];

    public function testAClientIsAddedWithASecretThatWorks(): void
    {
        $addresses = ['--return-to', 'https://a.example/', '--return-to', 'http://localhost:1/b'];
        self::assertSame(0, $this->command('client:add', '--name', 'A', ...$addresses));
        preg_match('/client_id: (\S+)\nclient_secret: (\S+)\n/', implode("\n", $this->said), $shown);
        $client = $this->clients->authenticated($shown[1], $shown[2]);
        self::assertSame(['https://a.example/', 'http://localhost:1/b'], $client->returnTo);
        self::assertSame(['admin_client_added'], $this->events());
    }

    public function testTheListShowsSitesAndNoSecrets(): void
    {
        self::assertSame(0, $this->command('client:list'));
        $said = implode("\n", $this->said);
        self::assertStringContainsString($this->new->id, $said);
        self::assertStringContainsString(self::OTHER, $said);
        self::assertStringNotContainsString(hash('sha256', $this->new->secret), $said);
    }

    public function testASecretIsRenewedAndAClientRemoved(): void
    {
        self::assertSame(0, $this->command('client:secret', $this->new->id));
        self::assertNull($this->clients->authenticated($this->new->id, $this->new->secret));
        self::assertSame(0, $this->command('client:remove', $this->new->id));
        self::assertSame([], $this->clients->list());
        self::assertSame(['admin_client_secret', 'admin_client_removed'], $this->events());
    }

    /** @dataProvider refused */
    public function testARefusedCommandSaysWhyAndChangesNothing(string ...$words): void
    {
        self::assertSame(2, $this->command(...$words));
        self::assertCount(1, $this->said);
        self::assertCount(1, $this->clients->list());
        self::assertSame([], $this->events());
    }

    /** @return iterable<list<string>> */
    public static function refused(): iterable
    {
        yield ['client:add'];
        yield ['client:add', '--name', 'A'];
        yield ['client:add', '--return-to', 'https://a.example/'];
        yield ['client:add', '--name', 'A', '--name', 'B', '--return-to', 'https://a.example/'];
        yield ['client:add', '--name', 'A', '--return-to', 'http://a.example/'];
        yield ['client:add', '--name', 'A', '--return-to'];
        yield ['client:add', '--name', 'A', '--wildcard', 'https://a.example/'];
        yield ['client:remove'];
        yield ['client:remove', 'nobody'];
        yield ['client:secret', 'nobody'];
        yield ['client:burn'];
    }

    private function command(string $command, string ...$arguments): int
    {
        $commands = new ClientCommands($this->clients, $this->audit);
        return $commands->run($command, array_values($arguments), function (string $line): void {
            $this->said[] = $line;
        });
    }
}
