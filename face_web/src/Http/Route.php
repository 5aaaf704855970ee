<?php

/** One address: who may use it, which page answers. `{name}` in the pattern is one segment. */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Route
{
    /**
     * @param class-string $page
     * @param array<string, string> $parameters
     */
    public function __construct(
        public readonly string $method,
        public readonly string $pattern,
        public readonly string $page,
        public readonly string $action,
        public readonly Access $access = Access::Open,
        public readonly array $parameters = [],
    ) {
    }

    /** The route with the parameters of this path, or null where it is another's. */
    public function matching(string $path): ?self
    {
        $shape = preg_replace('~\\\\\{([a-z]+)\\\\\}~', '(?<$1>[a-z0-9-]{1,64})', preg_quote($this->pattern, '~'));
        if (preg_match("~\\A$shape\\z~", $path, $found) !== 1) {
            return null;
        }
        $parameters = array_filter($found, is_string(...), ARRAY_FILTER_USE_KEY);
        return new self($this->method, $this->pattern, $this->page, $this->action, $this->access, $parameters);
    }

    /** Machines send no form of ours: they prove themselves otherwise. */
    public function needsToken(): bool
    {
        return $this->method === 'POST' && $this->access !== Access::Sessionless;
    }
}
