extension Encodings {
  /// - SeeAlso: Intel SDM volume 1, 'Data Transfer Instructions'.
  static let transfer: [Family] = [
    Family(
      .mov, "mov", rows: "88 : Eb,Gb", "89 : Ev,Gv", "8A : Gb,Eb", "8B : Gv,Ev", "B0+ : Zb,Ib",
      "C6 /0 : Eb,Ib", "C7 /0 : Ev,Iz"),
    Family(
      .mov, "mov", rows: "o16 B8+ : Zv,Iv", "o32 B8+ : Zv,Iv", "o64 B8+ : Zv,Iv : movabs",
      "A0 : AL,Ob : movabs", "A1 : rAX,Ov : movabs", "A2 : Ob,AL : movabs", "A3 : Ov,rAX : movabs"),
    Family(.mov_from_seg, "mov", rows: "8C : Ev,Sw"),
    Family(.movzx, "movzx", rows: "0F B6 : Gv,Eb", "0F B7 : Gv,Ew"),
    Family(.movsx, "movsx", rows: "0F BE : Gv,Eb", "0F BF : Gv,Ew"),
    Family(.movsxd, "movsxd", rows: "o64 63 : Gv,Ed", "o32 63 : Gv,Ed", "o16 63 : Gv,Ew"),
    Family(
      .movbe, "movbe", feature: .movbe, rows: "NFx 0F 38 F0 : Gv,Mv", "NFx 0F 38 F1 : Mv,Gv"),
    Family(.lea, "lea", rows: "8D : Gv,M"),
    Family(.xchg, "xchg", "......", [.lock, .modifies], rows: "86 : Eb,Gb", "87 : Ev,Gv"),
    Family(.nop, "pause", rows: "F3 B=0 90 :"),
    Family(.nop, "nop", rows: "B=0 90 :"),
    Family(.xchg, "xchg", rows: "90+ : Zv,rAX"),
    Family(.bswap, "bswap", rows: "o32 0F C8+ : Zv", "o64 0F C8+ : Zv"),
    Family(.cmovcc, "cmov", feature: .cmov, rows: "0F 40+cc : Gv,Ev"),
    Family(
      .push, "push", "......", .default64, rows: "50+ : Zv", "FF /6 : Ev", "68 : Iz", "6A : Ibs"),
    Family(.pop, "pop", "......", .default64, rows: "58+ : Zv", "8F /0 : Ev"),
    Family(.enter, "enter", "......", .default64, rows: "C8 : Iw,Ib"),
    Family(.leave, "leave", "......", .default64, rows: "C9 :"),
    Family(.cbw, "cbw", rows: "o16 98 :", "o32 98 : : cwde", "o64 98 : : cdqe"),
    Family(.cwd, "cwd", rows: "o16 99 :", "o32 99 : : cdq", "o64 99 : : cqo"),
    Family(.xlat, "xlatb", rows: "D7 :"),
  ]

  /// The eight operations that share one layout.
  private static func alu(
    _ op: Op, _ mnemonic: String, _ base: UInt8, _ group: Int, _ flags: String,
    _ traits: Traits = [.lock, .modifies]
  ) -> Family {
    func at(_ offset: UInt8) -> String {
      let digits = String(base &+ offset, radix: 16, uppercase: true)
      return digits.count == 1 ? "0" + digits : digits
    }
    return Family(
      op, mnemonic, flags, traits,
      rows: "\(at(0)) : Eb,Gb", "\(at(1)) : Ev,Gv", "\(at(2)) : Gb,Eb", "\(at(3)) : Gv,Ev",
      "\(at(4)) : AL,Ib", "\(at(5)) : rAX,Iz", "80 /\(group) : Eb,Ib", "81 /\(group) : Ev,Iz",
      "83 /\(group) : Ev,Ibs")
  }

  /// - SeeAlso: Intel SDM volume 1, 'Binary Arithmetic Instructions' and 'Logical Instructions'.
  static let arithmetic: [Family] = [
    alu(.add, "add", 0x00, 0, "MMMMMM"),
    alu(.or, "or", 0x08, 1, "0MM-M0"),
    alu(.adc, "adc", 0x10, 2, "MMMMMB"),
    alu(.sbb, "sbb", 0x18, 3, "MMMMMB"),
    alu(.and, "and", 0x20, 4, "0MM-M0"),
    alu(.sub, "sub", 0x28, 5, "MMMMMM"),
    alu(.xor, "xor", 0x30, 6, "0MM-M0"),
    alu(.cmp, "cmp", 0x38, 7, "MMMMMM", []),
    Family(
      .test, "test", "0MM-M0", rows: "84 : Eb,Gb", "85 : Ev,Gv", "A8 : AL,Ib", "A9 : rAX,Iz",
      "F6 /0 : Eb,Ib", "F6 /1 : Eb,Ib", "F7 /0 : Ev,Iz", "F7 /1 : Ev,Iz"),
    Family(.inc, "inc", "MMMMM.", [.lock, .modifies], rows: "FE /0 : Eb", "FF /0 : Ev"),
    Family(.dec, "dec", "MMMMM.", [.lock, .modifies], rows: "FE /1 : Eb", "FF /1 : Ev"),
    Family(.neg, "neg", "MMMMMM", [.lock, .modifies], rows: "F6 /3 : Eb", "F7 /3 : Ev"),
    Family(.not, "not", "......", [.lock, .modifies], rows: "F6 /2 : Eb", "F7 /2 : Ev"),
    Family(.mul, "mul", "M----M", rows: "F6 /4 : Eb", "F7 /4 : Ev"),
    Family(.imul1, "imul", "M----M", rows: "F6 /5 : Eb", "F7 /5 : Ev"),
    Family(
      .imul, "imul", "M----M", rows: "0F AF : Gv,Ev", "69 : Gv,Ev,Iz", "6B : Gv,Ev,Ibs"),
    Family(.div, "div", "------", rows: "F6 /6 : Eb", "F7 /6 : Ev"),
    Family(.idiv, "idiv", "------", rows: "F6 /7 : Eb", "F7 /7 : Ev"),
    Family(.xadd, "xadd", "MMMMMM", [.lock, .modifies], rows: "0F C0 : Eb,Gb", "0F C1 : Ev,Gv"),
    Family(
      .cmpxchg, "cmpxchg", "MMMMMM", [.lock, .modifies], rows: "0F B0 : Eb,Gb", "0F B1 : Ev,Gv"),
    Family(
      .cmpxchg8b, "cmpxchg8b", "..M...", [.lock, .modifies], .cx8, rows: "W0 0F C7 /1 : Mq"),
    Family(
      .cmpxchg16b, "cmpxchg16b", "..M...", [.lock, .modifies, .aligned], .cx16,
      rows: "W1 0F C7 /1 : Mdq"),
    Family(.adcx, "adcx", ".....B", feature: .adx, rows: "66 0F 38 F6 : Gy,Ey"),
    Family(.adox, "adox", "B.....", feature: .adx, rows: "F3 0F 38 F6 : Gy,Ey"),
  ]

  private static func shift(
    _ op: Op, _ mnemonic: String, _ group: Int, _ flags: String
  ) -> Family {
    Family(
      op, mnemonic, flags, [.counted, .modifies],
      rows: "D0 /\(group) : Eb,1", "D1 /\(group) : Ev,1", "D2 /\(group) : Eb,CL",
      "D3 /\(group) : Ev,CL", "C0 /\(group) : Eb,Ib", "C1 /\(group) : Ev,Ib")
  }

  /// - SeeAlso: Intel SDM volume 1, 'Shift and Rotate Instructions'.
  static let shifts: [Family] = [
    shift(.rol, "rol", 0, "M....M"),
    shift(.ror, "ror", 1, "M....M"),
    shift(.rcl, "rcl", 2, "M....B"),
    shift(.rcr, "rcr", 3, "M....B"),
    shift(.shl, "shl", 4, "MMM-MM"),
    shift(.shr, "shr", 5, "MMM-MM"),
    shift(.shl, "sal", 6, "MMM-MM"),
    shift(.sar, "sar", 7, "MMM-MM"),
    Family(
      .shld, "shld", "MMM-MM", [.counted, .modifies],
      rows: "0F A4 : Ev,Gv,Ib", "0F A5 : Ev,Gv,CL"),
    Family(
      .shrd, "shrd", "MMM-MM", [.counted, .modifies],
      rows: "0F AC : Ev,Gv,Ib", "0F AD : Ev,Gv,CL"),
  ]

  /// - SeeAlso: Intel SDM volume 1, 'Bit and Byte Instructions'.
  static let bits: [Family] = [
    Family(.bt, "bt", "-.---M", rows: "0F A3 : Ev,Gv", "0F BA /4 : Ev,Ib"),
    Family(
      .bts, "bts", "-.---M", [.lock, .modifies], rows: "0F AB : Ev,Gv", "0F BA /5 : Ev,Ib"),
    Family(
      .btr, "btr", "-.---M", [.lock, .modifies], rows: "0F B3 : Ev,Gv", "0F BA /6 : Ev,Ib"),
    Family(
      .btc, "btc", "-.---M", [.lock, .modifies], rows: "0F BB : Ev,Gv", "0F BA /7 : Ev,Ib"),
    Family(.popcnt, "popcnt", "000000", feature: .popcnt, rows: "F3 0F B8 : Gv,Ev"),
    Family(.tzcnt, "tzcnt", "--M--M", feature: .bmi1, rows: "F3 0F BC : Gv,Ev"),
    Family(.lzcnt, "lzcnt", "--M--M", feature: .abm, rows: "F3 0F BD : Gv,Ev"),
    Family(.bsf, "bsf", "--M---", rows: "0F BC : Gv,Ev"),
    Family(.bsr, "bsr", "--M---", rows: "0F BD : Gv,Ev"),
    Family(.setcc, "set", rows: "0F 90+cc : Eb"),
    Family(
      .crc32, "crc32", feature: .sse42, rows: "F2 0F 38 F0 : Gy,Eb", "F2 0F 38 F1 : Gy,Ev"),
    Family(
      .andn, "andn", "0MM--0", feature: .bmi1, rows: "VEX L0 NP 0F 38 F2 : Gy,By,Ey"),
    Family(
      .bextr, "bextr", "0-M--0", feature: .bmi1, rows: "VEX L0 NP 0F 38 F7 : Gy,Ey,By"),
    Family(.blsr, "blsr", "0MM--M", feature: .bmi1, rows: "VEX L0 NP 0F 38 F3 /1 : By,Ey"),
    Family(.blsmsk, "blsmsk", "0M0--M", feature: .bmi1, rows: "VEX L0 NP 0F 38 F3 /2 : By,Ey"),
    Family(.blsi, "blsi", "0MM--M", feature: .bmi1, rows: "VEX L0 NP 0F 38 F3 /3 : By,Ey"),
    Family(.bzhi, "bzhi", "0MM--M", feature: .bmi2, rows: "VEX L0 NP 0F 38 F5 : Gy,Ey,By"),
    Family(.mulx, "mulx", feature: .bmi2, rows: "VEX L0 F2 0F 38 F6 : Gy,By,Ey"),
    Family(.pdep, "pdep", feature: .bmi2, rows: "VEX L0 F2 0F 38 F5 : Gy,By,Ey"),
    Family(.pext, "pext", feature: .bmi2, rows: "VEX L0 F3 0F 38 F5 : Gy,By,Ey"),
    Family(.rorx, "rorx", feature: .bmi2, rows: "VEX L0 F2 0F 3A F0 : Gy,Ey,Ib"),
    Family(.sarx, "sarx", feature: .bmi2, rows: "VEX L0 F3 0F 38 F7 : Gy,Ey,By"),
    Family(.shlx, "shlx", feature: .bmi2, rows: "VEX L0 66 0F 38 F7 : Gy,Ey,By"),
    Family(.shrx, "shrx", feature: .bmi2, rows: "VEX L0 F2 0F 38 F7 : Gy,Ey,By"),
  ]
}
