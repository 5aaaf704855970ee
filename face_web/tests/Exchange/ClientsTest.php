<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\ClientRefused;

final class ClientsTest extends ExchangeCase
{
    public function testAClientIsFoundAsItWasAdded(): void
    {
        $client = $this->clients->find($this->new->id);
        self::assertSame('Shop', $client->name);
        self::assertSame([self::RETURN_TO, self::OTHER], $client->returnTo);
        self::assertSame($this->clock->now(), $client->createdAt);
        self::assertEquals([$client], $this->clients->list());
    }

    public function testTheSecretIsLongAndNotKept(): void
    {
        self::assertSame(32, strlen(base64_decode(strtr($this->new->secret, '-_', '+/'))));
        $kept = json_encode($this->database->rows('SELECT * FROM client'));
        self::assertStringNotContainsString($this->new->secret, $kept);
        $files = implode('', array_map(file_get_contents(...), glob("$this->directory/users.sqlite*")));
        self::assertStringNotContainsString($this->new->secret, $files);
    }

    public function testOnlyTheRightSecretOfTheRightClientOpens(): void
    {
        $other = $this->clients->add('Other', ['https://other.example/']);
        self::assertSame($this->new->id, $this->clients->authenticated($this->new->id, $this->new->secret)?->id);
        self::assertNull($this->clients->authenticated($this->new->id, $other->secret));
        self::assertNull($this->clients->authenticated($this->new->id, ''));
        self::assertNull($this->clients->authenticated($this->new->id, $this->new->secret . "\0"));
        self::assertNull($this->clients->authenticated('nobody', $this->new->secret));
        self::assertNull($this->clients->authenticated(strtoupper($this->new->id) . ' ', $this->new->secret));
        self::assertNull($this->clients->authenticated('nobody', str_repeat('-', 64)));
    }

    public function testARenewedSecretVoidsTheOldOneAndKeepsTheId(): void
    {
        $renewed = $this->clients->renewSecret($this->new->id);
        self::assertSame($this->new->id, $renewed->id);
        self::assertNull($this->clients->authenticated($this->new->id, $this->new->secret));
        self::assertNotNull($this->clients->authenticated($this->new->id, $renewed->secret));
    }

    public function testARemovedClientIsGoneWithItsCodes(): void
    {
        $this->code();
        self::assertTrue($this->clients->remove($this->new->id));
        self::assertFalse($this->clients->remove($this->new->id));
        self::assertNull($this->clients->find($this->new->id));
        self::assertSame([], $this->database->rows('SELECT * FROM code'));
    }

    public function testTheReturnAddressIsComparedLetterByLetter(): void
    {
        $client = $this->client();
        self::assertTrue($client->mayReturnTo(self::RETURN_TO));
        foreach (['/', '?', '#', ' ', '/../x', '%00'] as $more) {
            self::assertFalse($client->mayReturnTo(self::RETURN_TO . $more));
        }
        self::assertFalse($client->mayReturnTo('HTTPS://shop.example/back'));
        self::assertFalse($client->mayReturnTo('https://shop.example/'));
        self::assertFalse($client->mayReturnTo(''));
    }

    /**
     * @dataProvider refused
     * @param list<string> $addresses
     */
    public function testWhatCannotBeRegistered(string $name, array $addresses): void
    {
        $this->expectException(ClientRefused::class);
        $this->clients->add($name, $addresses);
    }

    /** @return iterable<string, array{string, list<string>}> */
    public static function refused(): iterable
    {
        yield 'no name' => [' ', [self::RETURN_TO]];
        yield 'a name with a line break' => ["a\nb", [self::RETURN_TO]];
        yield 'a name that turns text around' => ["a\u{202E}b", [self::RETURN_TO]];
        yield 'a name that is not UTF-8' => ["\xff", [self::RETURN_TO]];
        yield 'a long name' => [str_repeat('a', 81), [self::RETURN_TO]];
        yield 'no address' => ['a', []];
        yield 'too many addresses' => ['a', array_fill(0, 11, self::RETURN_TO)];
        yield 'one bad address among good ones' => ['a', [self::RETURN_TO, 'http://shop.example/']];
    }

    public function testAsManyAndAsLongAddressesAsAllowedAreKept(): void
    {
        $addresses = array_map(fn (int $i): string => str_pad("https://a.example/$i", 300, 'x'), range(0, 9));
        $new = $this->clients->add(str_repeat('名', 80), $addresses);
        self::assertSame($addresses, $this->clients->find($new->id)->returnTo);
    }
}
