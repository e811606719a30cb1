//! Pages about the command, from the definition of its arguments.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Arguments;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Generate;

/// Writes the manual or the completions.
///
/// # Errors
///
/// If files cannot be written.
pub(super) fn run(request: &Generate, output: &Output) -> Result<Verdict, Failure> {
    let (directory, written) = match request {
        Generate::Completions(directory) => (directory, completions(directory)),
        Generate::Manual(directory) => (directory, manual(directory)),
    };
    let doing = || format!("write into {}", directory.display());
    output.generated(written.map_err(Failure::io(doing()))?, directory);
    Ok(Verdict::AsExpected)
}

fn completions(directory: &Path) -> io::Result<usize> {
    const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];
    fs::create_dir_all(directory)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Arguments::command(), NAME, directory)?;
    }
    Ok(SHELLS.len())
}

/// Writes `countersign.1`, and `countersign-COMMAND.1` for each command.
fn manual(directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    write_page(&command, directory)
}

fn write_page(command: &Command, directory: &Path) -> io::Result<usize> {
    let page = Man::new(command.clone()).manual("Countersign");
    let mut file = File::create(directory.join(page.get_filename()))?;
    page.render_title(&mut file)?;
    page.render_name_section(&mut file)?;
    page.render_synopsis_section(&mut file)?;
    page.render_description_section(&mut file)?;
    page.render_options_section(&mut file)?;
    let visible = || command.get_subcommands().filter(|command| !command.is_hide_set());
    if visible().next().is_some() {
        page.render_subcommands_section(&mut file)?;
    }
    let more = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    for (heading, text) in sections(&more) {
        let mut section = Roff::new();
        section.control("SH", [heading.to_uppercase().as_str()]);
        section.control("nf", []);
        section.text([roman(text)]);
        section.control("fi", []);
        section.to_writer(&mut file)?;
    }
    page.render_version_section(&mut file)?;
    file.flush()?;
    visible().try_fold(1, |pages, command| Ok(pages + write_page(command, directory)?))
}

/// Splits help into its sections: a line that ends in a colon, and the indented lines below it.
fn sections(help: &str) -> Vec<(&str, String)> {
    let mut sections: Vec<(&str, String)> = Vec::new();
    for line in help.lines() {
        match line.strip_suffix(':') {
            Some(heading) if !line.starts_with(' ') => sections.push((heading, String::new())),
            _ => {
                if let Some((_, text)) = sections.last_mut() {
                    text.push_str(line.strip_prefix("  ").unwrap_or(line));
                    text.push('\n');
                }
            }
        }
    }
    for (_, text) in &mut sections {
        text.truncate(text.trim_end().len());
    }
    sections
}

const NAME: &str = "countersign";

#[cfg(test)]
mod tests {
    use super::sections;

    #[test]
    fn sections_are_headed_by_what_is_not_indented() {
        assert_eq!(
            sections("Examples:\n  Do it:\n    it\n\nFiles:\n  a\n"),
            [("Examples", "Do it:\n  it".to_owned()), ("Files", "a".to_owned())]
        );
    }
}
