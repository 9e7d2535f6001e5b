use std::{fmt, time::Duration};

use http::HeaderMap;

macro_rules! vendors {
    ($($name:ident = $text:literal: $($mark:literal),+;)+) => {
        /// Whose dialect a response speaks, as far as its header fields tell. Some have imitators: Groq
        /// speaks as OpenAI does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "they are names")]
        pub enum Vendor {
            $($name,)+
        }

        impl Vendor {
            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        /// Fields that only one vendor sends; of several the earliest row decides.
        static MARKS: &[(&str, Vendor)] = &[$($(($mark, Vendor::$name),)+)+];
    };
}

vendors! {
    GitHub = "GitHub": "x-github-request-id", "x-github-media-type";
    GitLab = "GitLab": "gitlab-lb", "gitlab-sv";
    Discord = "Discord": "x-ratelimit-bucket", "x-ratelimit-scope", "x-ratelimit-global";
    Shopify = "Shopify": "x-shopify-shop-api-call-limit", "x-shopify-stage";
    Stripe = "Stripe": "stripe-should-retry", "stripe-version";
    Anthropic = "Anthropic": "anthropic-organization-id", "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-limit";
    AzureOpenAi = "Azure OpenAI": "apim-request-id", "azureml-model-session";
    OpenAi = "OpenAI": "openai-processing-ms", "openai-version", "openai-organization", "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens";
    Azure = "Azure": "x-ms-request-id", "x-ms-retry-after-ms";
    Aws = "AWS": "x-amzn-requestid", "x-amz-request-id", "x-amzn-errortype", "x-amz-retry-after";
    HubSpot = "HubSpot": "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-secondly", "x-hubspot-correlation-id";
    Docker = "Docker Hub": "docker-ratelimit-source";
    X = "X": "x-rate-limit-limit", "x-rate-limit-reset";
}

impl Vendor {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let rows = headers.keys().filter_map(|name| {
            let name = name.as_str();
            // Of the registered names few begin as these do.
            name.starts_with(['a', 'd', 'g', 'o', 's', 'x'])
                .then(|| MARKS.iter().position(|(mark, _)| *mark == name))?
        });
        let (_, vendor) = MARKS.get(rows.min()?)?;
        Some(*vendor)
    }

    /// How long to wait after a refusal that does not tell, as the vendor's documentation has it.
    pub(super) const fn minimum_wait(self) -> Option<Duration> {
        match self {
            // "Otherwise, wait for at least one minute before retrying."
            Self::GitHub => Some(Duration::from_secs(60)),
            _ => None,
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a capital in it would never be found, or panic.
    #[test]
    fn every_mark_can_be_looked_up() {
        for (mark, vendor) in MARKS {
            let name = http::HeaderName::from_static(mark);
            let headers = HeaderMap::from_iter([(name, http::HeaderValue::from_static("1"))]);
            assert_eq!(Vendor::of(&headers), Some(*vendor), "{mark}");
        }
        assert_eq!(Vendor::of(&HeaderMap::new()), None);
    }

    /// Azure sends OpenAI's fields, too.
    #[test]
    fn the_earliest_row_decides() {
        for names in [
            ["x-ratelimit-limit-requests", "apim-request-id"],
            ["apim-request-id", "x-ratelimit-limit-requests"],
        ] {
            let headers = HeaderMap::from_iter(names.map(|name| {
                let name = http::HeaderName::from_static(name);
                (name, http::HeaderValue::from_static("1"))
            }));
            assert_eq!(Vendor::of(&headers), Some(Vendor::AzureOpenAi));
        }
    }
}
