import Engine
import Machine

/// What must be the same each time that a scenario is run: how it ended, after how many instructions,
/// what it asked and was answered at which of them, and the machine's whole state at the end.
public struct RunFingerprint: Sendable, Equatable, CustomStringConvertible {
  /// How it ended.
  public var ending: Ending
  /// Instructions begun by all harts.
  public var insns: UInt64
  /// Questions that were answered otherwise than as a matter of course.
  public var answers: Int
  /// A digest of these, with the counts at which they were asked.
  public var answersDigest: UInt64
  /// A digest of registers, memory, devices and the kernel's model.
  public var state: StateHash

  /// `exit status 0, 1234 instructions, 5 answers 0123456789abcdef, state ...`.
  public var description: String {
    let digits = String(answersDigest, radix: 16)
    let padded = String(repeating: "0", count: 16 - digits.count) + digits
    return "\(ending), \(insns) instructions, \(answers) answers \(padded), state \(state)"
  }
}

extension ScenarioRunner {
  /// Runs the scenario once on an engine, whatever it says of that itself.
  ///
  /// - Parameters:
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  ///   - engine: what runs micro-ops.
  /// - Returns: its fingerprint; `nil` where the user ended it.
  /// - Throws: ``HarnessError`` where it can't be run.
  public func fingerprint(
    seed: UInt64?, engine: BackEnd
  ) throws(HarnessError) -> RunFingerprint? {
    let journal = Journal()
    let rig = try Rig(
      prepared, seed: seed, engine: engine, journal: journal, isInterrupted: isInterrupted)
    let outcome = rig.run()
    if outcome.ending == .interrupted { return nil }
    return RunFingerprint(
      ending: outcome.ending, insns: rig.count, answers: journal.entries.count,
      answersDigest: journal.digest, state: rig.session.stateHash())
  }
}

/// `emu test --check`: whether every run is the same each time.
public enum DeterminismCheck {
  /// The lines of all runs on one engine: `NAME seed N: FINGERPRINT`.
  ///
  /// - Parameters:
  ///   - jobs: the scenarios.
  ///   - seeds: the seeds; `nil`: each once, round robin.
  ///   - engine: what runs micro-ops.
  ///   - isInterrupted: whether the user wants it to end; then lines are missing.
  /// - Returns: a line for each run, in the order of the jobs.
  public static func lines(
    _ jobs: [ScenarioRun.Job], seeds: Range<UInt64>?, engine: BackEnd,
    isInterrupted: @escaping () -> Bool
  ) -> [String] {
    var lines: [String] = []
    for job in jobs {
      let runner = ScenarioRunner(job.prepared)
      runner.isInterrupted = isInterrupted
      for seed in seeds.map({ $0.map(Optional.some) }) ?? [nil] {
        let name = job.prepared.scenario.name + (seed.map { " seed \($0)" } ?? "")
        do throws(HarnessError) {
          guard let found = try runner.fingerprint(seed: seed, engine: engine) else { return lines }
          lines.append("\(name): \(found)")
        } catch {
          lines.append("\(name): \(error)")
        }
      }
    }
    return lines
  }

  /// The first differences between what should be the same lines.
  ///
  /// - Parameters:
  ///   - one: lines, and who made them.
  ///   - other: lines, and who made them.
  /// - Returns: two lines for each difference.
  public static func differences(
    _ one: (name: String, lines: [String]), _ other: (name: String, lines: [String])
  ) -> [String] {
    var found: [String] = []
    for index in 0..<max(one.lines.count, other.lines.count) {
      let mine = index < one.lines.count ? one.lines[index] : "nothing"
      let theirs = index < other.lines.count ? other.lines[index] : "nothing"
      if mine != theirs { found += ["\(one.name): \(mine)", "\(other.name): \(theirs)"] }
    }
    return found
  }
}
