<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\CodeRefused;
use PDO;
use PDOException;

/** The same tables on MariaDB: what differs there are types, collations and how rows are counted. */
final class MariaDbTest extends ExchangeCase
{
    private ?string $name = null;

    protected function tearDown(): void
    {
        if ($this->name !== null) {
            $this->server()->exec("DROP DATABASE $this->name");
        }
        parent::tearDown();
    }

    public function testACodeIsExchangedOnceAndAClientIsKeptWhole(): void
    {
        $addresses = array_map(fn (int $i): string => str_pad("https://a.example/$i", 300, 'x'), range(0, 9));
        $new = $this->clients->add(str_repeat('名', 80), $addresses);
        self::assertSame($addresses, $this->clients->find($new->id)->returnTo);
        self::assertNull($this->clients->find($new->id . ' '));
        $renewed = $this->clients->renewSecret($this->new->id);
        self::assertNotNull($this->clients->authenticated($this->new->id, $renewed->secret));
        $code = $this->code(['face', 'pwd']);
        $identity = $this->codes->exchange($this->client(), $code, self::RETURN_TO, self::SOURCE);
        self::assertSame(['face', 'pwd', 'mfa'], $identity->amr);
        $this->expectException(CodeRefused::class);
        $this->codes->exchange($this->client(), $code, self::RETURN_TO, self::SOURCE);
    }

    public function testAnIdOfLettersThatTheColumnCannotHoldIsJustUnknown(): void
    {
        foreach (["\u{e9}", "\xff", str_repeat("\u{e9}", 8)] as $id) {
            self::assertNull($this->clients->find($id));
            self::assertNull($this->clients->authenticated($id, 'secret'));
            self::assertNull($this->people->bySubject($id));
        }
    }

    public function testOfManyProcessesWithOneCodeExactlyOneIsAnswered(): void
    {
        for ($round = 0; $round < 5; $round++) {
            $said = array_count_values($this->race($this->code()));
            self::assertEquals(['anna@example.org' => 1, 'used' => 5], $said);
        }
    }

    protected function place(): string
    {
        if ($this->name === null) {
            $name = 'face_web_test_' . bin2hex(random_bytes(6));
            $this->server()->exec("CREATE DATABASE $name CHARACTER SET utf8mb4");
            $this->name = $name;
        }
        return "mariadb:$this->name";
    }

    private function server(): PDO
    {
        try {
            return new PDO('mysql:host=127.0.0.1;port=3306', 'root', '', [PDO::ATTR_TIMEOUT => 2]);
        } catch (PDOException $error) {
            self::markTestSkipped('no MariaDB at 127.0.0.1:3306 for root without a password: ' . $error->getMessage());
        }
    }
}
