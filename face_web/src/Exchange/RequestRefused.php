<?php

/**
 * A site's request that is answered on our own page, with status 400. It is never answered by a redirect: the address
 * to go back to is exactly what cannot be trusted yet.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class RequestRefused extends \RuntimeException
{
    private function __construct(public readonly string $reason, string $message)
    {
        parent::__construct($message);
    }

    public static function malformed(string $parameter): self
    {
        return new self('malformed', "The site that sent you here gave a wrong or contradictory '$parameter'.");
    }

    public static function unknownClient(): self
    {
        return new self('unknown_client', 'The site that sent you here is not registered with this login.');
    }

    public static function unregistered(): self
    {
        return new self('return_address_unregistered', 'The address you would be sent back to is not registered'
            . ' for the site that sent you here.');
    }

    public static function state(): self
    {
        return new self('state_unfit', 'The site that sent you here gave no usable state: it must be '
            . AuthorizationRequest::MIN_STATE . ' to ' . AuthorizationRequest::MAX_STATE . ' printable characters.');
    }

    public static function responseType(): self
    {
        return new self('response_type_unsupported', 'The site that sent you here asked for no code.');
    }
}
