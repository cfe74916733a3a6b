//! Reading: checks, claims, invoices. A read changes nothing, so any node may be asked again.

use wire::generated::{
    BatchVerifyAnswer, BatchVerifyRequest, Claim, GetClaimRequest, GetInvoiceRequest, Invoice, ListClaimsRequest,
    ListInvoicesRequest, VerifyRequest, VerifyResponse, verify_request,
};

use crate::client::{Client, Course};
use crate::error::Error;
use crate::writes::{ledger, platforms};

impl Client {
    /// Checks an invoice by the text of its QR code, and tells its present status.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`].
    pub async fn verify_qr(&self, qr: &str) -> Result<VerifyResponse, Error> {
        self.verify(VerifyRequest { by: Some(verify_request::By::Qr(qr.to_owned())) }).await
    }

    /// Checks an invoice by its QR code or its details, and tells its present status.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`].
    pub async fn verify(&self, request: VerifyRequest) -> Result<VerifyResponse, Error> {
        let mut course = Course::new(self.options().read_max);
        self.ask(&mut course, &request, true, |channel, ask| async move { platforms(channel).verify(ask).await }).await
    }

    /// Checks many, 1 to 1,000; the answers stand in the order of the requests.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`], and [`Error::Answer`] when answers are missing.
    pub async fn batch_verify(&self, requests: Vec<VerifyRequest>) -> Result<Vec<BatchVerifyAnswer>, Error> {
        let (mut course, request) = (Course::new(self.options().read_max), BatchVerifyRequest { requests });
        let call = |channel, ask| async move { platforms(channel).batch_verify(ask).await };
        let answers = self.ask(&mut course, &request, true, call).await?.answers;
        let (expected, found) = (request.requests.len(), answers.len());
        if expected == found {
            return Ok(answers);
        }
        Err(Error::Answer { what: "answers", expected: expected.to_string(), found: found.to_string() })
    }

    /// Where the reimbursement of an invoice stands, as the caller may see it.
    ///
    /// # Errors
    /// [`Error::Refused`] (`invoice.unknown` also when the caller may not see it), [`Error::Unavailable`].
    pub async fn claim(&self, invoice: &str) -> Result<Claim, Error> {
        let request = GetClaimRequest { invoice: invoice.to_owned() };
        let mut course = Course::new(self.options().read_max);
        let call = |channel, ask| async move { platforms(channel).get_claim(ask).await };
        self.ask(&mut course, &request, true, call).await?.claim.ok_or_else(|| nothing("claim"))
    }

    /// An invoice as it stands.
    ///
    /// # Errors
    /// [`Error::Refused`] (`invoice.unknown` also when the caller may not see it), [`Error::Unavailable`].
    pub async fn invoice(&self, invoice: &str) -> Result<Invoice, Error> {
        let request = GetInvoiceRequest { invoice: invoice.to_owned() };
        let mut course = Course::new(self.options().read_max);
        let call = |channel, ask| async move { ledger(channel).get_invoice(ask).await };
        self.ask(&mut course, &request, true, call).await?.invoice.ok_or_else(|| nothing("invoice"))
    }

    /// Lists invoices, newest first, page by page.
    pub fn invoices(&self, request: ListInvoicesRequest) -> Pages<ListInvoicesRequest> {
        Pages { client: self.clone(), request, over: false }
    }

    /// Lists what the caller has locked or closed, of the newest invoices first, page by page: with claims and fencing
    /// tokens, so that a platform which lost what it knew can go on.
    pub fn claims(&self, request: ListClaimsRequest) -> Pages<ListClaimsRequest> {
        Pages { client: self.clone(), request, over: false }
    }
}

/// The pages of a list, of which the request says what is listed. A page may be asked of another node than the one before.
#[derive(Debug)]
pub struct Pages<R> {
    client: Client,
    request: R,
    over: bool,
}

impl Pages<ListInvoicesRequest> {
    /// The next page, which may be empty; none behind the last. After an error the same page is asked for again.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`].
    pub async fn next(&mut self) -> Result<Option<Vec<Invoice>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut course = Course::new(self.client.options().read_max);
        let call = |channel, ask| async move { ledger(channel).list_invoices(ask).await };
        let page = self.client.ask(&mut course, &self.request, true, call).await?;
        self.over = page.next_page_token.is_empty();
        self.request.page_token = page.next_page_token;
        Ok(Some(page.invoices))
    }
}

impl Pages<ListClaimsRequest> {
    /// The next page, which may be empty; none behind the last. After an error the same page is asked for again.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`].
    pub async fn next(&mut self) -> Result<Option<Vec<Claim>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut course = Course::new(self.client.options().read_max);
        let call = |channel, ask| async move { platforms(channel).list_claims(ask).await };
        let page = self.client.ask(&mut course, &self.request, true, call).await?;
        self.over = page.next_page_token.is_empty();
        self.request.page_token = page.next_page_token;
        Ok(Some(page.claims))
    }
}

/// An answer without what it is for.
pub(crate) fn nothing(what: &'static str) -> Error {
    Error::Answer { what, expected: "one".to_owned(), found: "nothing".to_owned() }
}
