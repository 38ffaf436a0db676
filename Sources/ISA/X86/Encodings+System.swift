extension Encodings {
  /// What system registers, segments, ports and x87's control words are reached by.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'System Instruction Reference'; volume 1, 'I/O Instructions'.
  static let privileged: [Family] = [
    Family(.hlt, "hlt", "......", .jump, rows: "F4 :"),
    Family(.clts, "clts", rows: "0F 06 :"),
    Family(.invd, "invd", rows: "0F 08 :"),
    Family(.wbinvd, "wbinvd", rows: "NFx 0F 09 :"),
    Family(.rdmsr, "rdmsr", rows: "0F 32 :"),
    Family(.wrmsr, "wrmsr", rows: "0F 30 :"),
    Family(.rdpmc, "rdpmc", "......", .system, rows: "0F 33 :"),
    Family(.swapgs, "swapgs", rows: "0F 01 /F8 :"),
    Family(.invlpg, "invlpg", rows: "0F 01 /7 : Mb"),
    Family(
      .invpcid, "invpcid", "......", [.force64, .system], .invpcid, rows: "66 0F 38 82 : Gq,Mdq"),
    Family(.cli, "cli", rows: "FA :"),
    Family(.sti, "sti", rows: "FB :"),
    Family(
      .in, "in", rows: "E4 : AL,Ib", "E5 : rAX,Ib", "EC : AL,DX", "ED : rAX,DX"),
    Family(
      .out, "out", rows: "E6 : Ib,AL", "E7 : Ib,rAX", "EE : DX,AL", "EF : DX,rAX"),
    Family(.ins, "insb", "......", .string, rows: "6C :", "6D : : insd"),
    Family(.outs, "outsb", "......", .string, rows: "6E :", "6F : : outsd"),
    Family(.sgdt, "sgdt", "......", .system, rows: "0F 01 /0 : Ms"),
    Family(.sidt, "sidt", "......", .system, rows: "0F 01 /1 : Ms"),
    Family(.lgdt, "lgdt", rows: "0F 01 /2 : Ms"),
    Family(.lidt, "lidt", rows: "0F 01 /3 : Ms"),
    Family(.smsw, "smsw", "......", .system, rows: "0F 01 /4 : Ev"),
    Family(.lmsw, "lmsw", rows: "0F 01 /6 : Ew"),
    Family(.sldt, "sldt", "......", .system, rows: "0F 00 /0 : Ev"),
    Family(.str, "str", "......", .system, rows: "0F 00 /1 : Ev"),
    Family(.lldt, "lldt", rows: "0F 00 /2 : Ew"),
    Family(.ltr, "ltr", rows: "0F 00 /3 : Ew"),
    Family(.verr, "verr", "..M...", .system, rows: "0F 00 /4 : Ew"),
    Family(.verw, "verw", "..M...", .system, rows: "0F 00 /5 : Ew"),
    Family(.lar, "lar", "..M...", .system, rows: "0F 02 : Gv,Ew"),
    Family(.lsl, "lsl", "..M...", .system, rows: "0F 03 : Gv,Ew"),
    Family(.mov_from_cr, "mov", rows: "0F 20 : Rq,Cq"),
    Family(.mov_to_cr, "mov", rows: "0F 22 : Cq,Rq"),
    Family(.mov_from_dr, "mov", rows: "0F 21 : Rq,Dq"),
    Family(.mov_to_dr, "mov", rows: "0F 23 : Dq,Rq"),
    Family(.mov_to_seg, "mov", "......", .system, rows: "8E : Sw,Ew"),
    Family(
      .push_seg, "push", "......", [.default64, .system], rows: "0F A0 : FS", "0F A8 : GS"),
    Family(
      .pop_seg, "pop", "......", [.default64, .system], rows: "0F A1 : FS", "0F A9 : GS"),
    Family(
      .load_far, "lss", "......", .system, rows: "0F B2 : Gv,Mp", "0F B4 : Gv,Mp : lfs",
      "0F B5 : Gv,Mp : lgs"),
    Family(.jmp_far, "ljmp", "......", [.jump, .system], rows: "FF /5 : Mp"),
    Family(.call_far, "lcall", "......", [.jump, .system], rows: "FF /3 : Mp"),
    Family(
      .ret_far, "retf", "......", [.jump, .system], rows: "o16 CA : Iw", "o32 CA : Iw",
      "o64 CA : Iw : retfq", "o16 CB :", "o32 CB :", "o64 CB : : retfq"),
    Family(
      .iret, "iret", "MMMMMM", [.jump, .system], rows: "o16 CF :", "o32 CF : : iretd",
      "o64 CF : : iretq"),
    Family(
      .sysret, "sysret", "MMMMMM", .jump, rows: "o16 0F 07 :", "o32 0F 07 :",
      "o64 0F 07 : : sysretq"),
    Family(.vmcall, "vmcall", "......", [.jump, .system], rows: "NP 0F 01 /C1 :"),
    Family(.clac, "clac", "......", .system, .smap, rows: "NP 0F 01 /CA :"),
    Family(.stac, "stac", "......", .system, .smap, rows: "NP 0F 01 /CB :"),
    Family(.xsetbv, "xsetbv", "......", .system, .xsave, rows: "NP 0F 01 /D1 :"),
  ]
}
