//! The context of a socket that must not look at files by itself.

use super::{Socket, State};
use crate::Context;

impl Socket {
    /// Returns the context that the socket goes by.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Goes by this handle of its context from now on.
    pub(crate) fn replace_context(&mut self, context: Context) {
        if let State::Listener(listener) = &mut self.state {
            listener.replace_context(context.clone());
        }
        self.context = context;
    }
}
